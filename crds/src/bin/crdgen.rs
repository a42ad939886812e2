//! Prints the CustomResourceDefinition as YAML.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let printed = serde_yaml::to_string(&balancefleet_crds::definition::definition())
        .map_err(std::io::Error::other)
        .and_then(|yaml| std::io::stdout().write_all(yaml.as_bytes()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}
