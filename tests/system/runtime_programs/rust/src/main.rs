use lambda_runtime::{service_fn, Context, Error, LambdaEvent};
use serde_json::{json, Value};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn context_of(context: &Context) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i128;
    let left = context.deadline as i128 - now;
    json!({
        "request_id": context.request_id, "name": context.env_config.function_name,
        "version": context.env_config.version, "arn": context.invoked_function_arn,
        "memory": context.env_config.memory, "group": context.env_config.log_group,
        "stream": context.env_config.log_stream, "in_time": left > 0 && left <= 10_000,
        "client": context.client_context.as_ref().map(|client| json!({"custom": client.custom})),
    })
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (asked, context) = event.into_parts();
    Ok(match asked["do"].as_str().unwrap_or("") {
        "echo" => asked["value"].clone(),
        "environment" => asked["names"].as_array().unwrap().iter()
            .map(|name| name.as_str().unwrap())
            .map(|name| (name.to_string(), json!(std::env::var(name).ok())))
            .collect::<serde_json::Map<String, Value>>().into(),
        "context" => context_of(&context),
        "fail" => return Err("boom".into()),
        "exit" => std::process::exit(7),
        "sleep" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Value::Null
        }
        "log" => {
            println!("{}", asked["text"].as_str().unwrap());
            Value::Null
        }
        "count" => {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open("/tmp/count")?;
            file.write_all(b"x")?;
            json!(file.metadata()?.len())
        }
        _ => Value::Null,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var("INIT").as_deref() == Ok("fail") {
        std::process::exit(1);
    }
    lambda_runtime::run(service_fn(handle)).await
}
