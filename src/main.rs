//! The program `counterfoil`; what it does stands in the library.

fn main() -> std::process::ExitCode {
    counterfoil::run()
}
