//! A function that does nothing, as the baseline of `functions/ingest/cold-start`.

use lambda_http::{Error, Request, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(r#"{"status":"accepted"}"#.to_owned()))
    }))
    .await
}
