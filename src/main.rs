//! The program `counterfoil`; what it does stands in the library.

/// Memory that many short lives have used is used again, rather than left between them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    counterfoil::run()
}
