mod bucket;
mod cloud_sink;
mod door;

pub(crate) use cloud_sink::CloudSink;
pub(crate) use door::Door;
