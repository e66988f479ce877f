fn main() {
    std::process::exit(opsctl::cli::main());
}
