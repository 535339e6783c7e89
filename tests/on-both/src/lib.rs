//! The attribute [`macro@on_both`] of tests that run on both databases.

use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, PatType, parse_macro_input};

/// Makes an `async fn name(fixture: Fixture)` two tests, `name::sqlite` and `name::postgres`. They get the
/// fixture from `Fixture::sqlite()` and `Fixture::postgres()`, which are async functions of the argument's
/// type.
///
/// ```ignore
/// #[on_both]
/// async fn lead_is_stored(fixture: Fixture) { .. }
/// ```
#[proc_macro_attribute]
pub fn on_both(_: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let (name, inputs) = (&function.sig.ident, &function.sig.inputs);
    let Some(FnArg::Typed(PatType { ty, .. })) = inputs.first().filter(|_| inputs.len() == 1) else {
        let error = syn::Error::new_spanned(&function.sig, "the test takes one argument, its fixture");
        return error.into_compile_error().into();
    };
    quote! {
        #function

        mod #name {
            #[allow(unused_imports)]
            use super::*;

            #[tokio::test]
            async fn sqlite() {
                super::#name(<#ty>::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::#name(<#ty>::postgres().await).await;
            }
        }
    }
    .into()
}
