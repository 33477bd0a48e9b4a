//! Other people's proxies, the real programs, with the configurations that the documentation
//! shows.

use super::Proxy;
use crate::{
    installation::built,
    process::{PATIENCE, Running, run},
    response::curl,
    traefik::Traefik,
};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Instant,
};
use tempfile::TempDir;

/// A proxy that runs, and is ended with this value.
pub(crate) struct Program {
    // Before the directory, so that it ends before its files go.
    _running: Option<Running>,
    _stand_in: Option<Traefik>,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
}

/// What one is told beyond what the page says.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// The API that it protects as the page protects `orders`.
    pub(crate) api: &'a str,
    /// Counterfoil's listener that it asks.
    pub(crate) counterfoil: SocketAddr,
    pub(crate) upstream: SocketAddr,
    /// Instead of `Authorization`: how the names of the fields begin that credentials are in.
    pub(crate) credential: Option<&'a str>,
}

impl Program {
    pub(crate) fn start(proxy: Proxy, place: &Place<'_>) -> Self {
        let mut page = page(proxy, 0).replace("127.0.0.1:8082", &place.counterfoil.to_string());
        page = page.replace("127.0.0.1:9000", &place.upstream.to_string());
        page = page.replace("orders", place.api);
        match proxy {
            Proxy::Nginx => {
                Self::nginx(|address| page.replace("listen 80;", &format!("listen {address};")))
            }
            Proxy::Caddy => Self::on_a_free_port(|address, directory| {
                let site = format!("http://:{} {{\n\tbind 127.0.0.1", address.port());
                let page = page.replacen(":80 {", &site, 1);
                // Nothing that lasts, and no port of its own for orders from outside.
                let file = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{page}");
                std::fs::write(directory.join("Caddyfile"), file).unwrap();
                caddy("run", directory)
            }),
            Proxy::Haproxy => Self::on_a_free_port(|address, directory| {
                write_haproxy(directory, &page.replace("bind :80", &format!("bind {address}")));
                haproxy(directory)
            }),
            Proxy::Envoy => {
                let mut page = with_ports(&page, 8082, place.counterfoil);
                page = with_ports(&page, 9000, place.upstream);
                if let Some(names) = place.credential {
                    let more = format!("{{ exact: authorization }}, {{ prefix: {names} }}");
                    page = page.replace("{ exact: authorization }", &more);
                }
                Self::envoy(&page)
            }
            Proxy::Traefik => {
                let stand_in = Traefik::start(&page);
                let address = stand_in.address;
                let directory = tempfile::tempdir().unwrap();
                Self { _running: None, _stand_in: Some(stand_in), _directory: directory, address }
            }
        }
    }

    /// nginx with what `site` puts into its http block, once told where to listen.
    pub(crate) fn nginx(site: impl Fn(SocketAddr) -> String) -> Self {
        Self::on_a_free_port(|address, directory| {
            write_nginx(directory, &site(address));
            nginx(directory)
        })
    }

    /// Envoy with a configuration, whose listener has been given a port of its own.
    pub(crate) fn envoy(page: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_envoy(directory.path(), page);
        let running = Running::start(&mut envoy(directory.path()));
        running.wait_for_line(|line| line.contains("starting main dispatch loop").then_some(()));
        let admin = std::fs::read_to_string(directory.path().join("admin")).unwrap();
        let admin = admin.trim().parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        // Its workers listen a little later than it says where.
        let port = loop {
            let nothing: [&str; 0] = [];
            let listeners = curl(admin, "/listeners?format=json", nothing).json();
            let listener = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
            if let Some(port) = listener["port_value"].as_u64() {
                break port;
            }
            assert!(Instant::now() < deadline, "{listeners}");
        };
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        Self { _running: Some(running), _stand_in: None, _directory: directory, address }
    }

    /// One that cannot choose a port itself, and a port that was free may be taken meanwhile.
    fn on_a_free_port(command: impl Fn(SocketAddr, &Path) -> Command) -> Self {
        loop {
            let directory = tempfile::tempdir().unwrap();
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let running = Running::start(&mut command(address, directory.path()));
            let listens = running.wait_for_line(|line| {
                // What they say once they listen, and what they say when they cannot.
                let listens = ["getrlimit(RLIMIT_NOFILE)", "serving initial", "haproxy listens"];
                let listens = listens.iter().any(|said| line.contains(said));
                let taken = line.to_ascii_lowercase().contains("address already in use");
                (listens || taken).then_some(listens)
            });
            if listens {
                return Self {
                    _running: Some(running),
                    _stand_in: None,
                    _directory: directory,
                    address,
                };
            }
        }
    }
}

/// The configuration that a proxy's page shows, after this many others.
pub(crate) fn page(proxy: Proxy, others: usize) -> String {
    let language = match proxy {
        Proxy::Nginx => "nginx",
        Proxy::Caddy => "caddyfile",
        Proxy::Haproxy => "haproxy",
        Proxy::Traefik | Proxy::Envoy => "yaml",
    };
    block(proxy, language, others)
}

fn block(proxy: Proxy, language: &str, others: usize) -> String {
    let page = format!("docs/proxies/{}.md", proxy.name());
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let block = page.split(&format!("```{language}\n")).nth(others + 1).unwrap();
    block.split_once("```\n").unwrap().0.to_owned()
}

/// Whether a program takes its page as it is, and what it says of it.
#[track_caller]
pub(crate) fn is_sound(proxy: Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut command = match proxy {
        Proxy::Nginx => {
            write_nginx(directory, &page(proxy, 0).replace("listen 80;", "listen 127.0.0.1:1;"));
            let mut command = nginx(directory);
            command.arg("-t");
            command
        }
        Proxy::Caddy => {
            std::fs::write(directory.join("Caddyfile"), page(proxy, 0)).unwrap();
            caddy("adapt", directory)
        }
        Proxy::Haproxy => {
            write_haproxy(directory, &page(proxy, 0));
            let mut command = haproxy(directory);
            command.arg("-c");
            command
        }
        Proxy::Envoy => {
            write_envoy(directory, &page(proxy, 0));
            let mut command = envoy(directory);
            command.args(["--mode", "validate"]);
            command
        }
        // Nothing reads the whole of it.
        Proxy::Traefik => return,
    };
    let outcome = run(&mut command, &[]).done();
    let said = outcome.err.to_ascii_lowercase();
    // Caddy minds white space, HAProxy says what works differently from what is meant.
    assert!(!said.contains("not formatted") && !said.contains("deprecated"), "{}", outcome.err);
    assert!(proxy == Proxy::Envoy || !said.contains("[warning]"), "{}", outcome.err);
}

/// nginx, about to be called, with its files in this directory.
fn nginx(directory: &Path) -> Command {
    let mut command = of_debian("nginx");
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    command.args(["-e", "stderr"]);
    command
}

fn caddy(verb: &str, directory: &Path) -> Command {
    let mut command = of_debian("caddy");
    command.args([verb, "--adapter", "caddyfile", "--config"]).arg(directory.join("Caddyfile"));
    // It keeps things at home.
    command.env("HOME", directory).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    command
}

fn haproxy(directory: &Path) -> Command {
    let mut command = of_debian("haproxy");
    command.arg("-db").arg("-f").arg(directory.join("haproxy.cfg"));
    command
}

fn envoy(directory: &Path) -> Command {
    // A process of Python's that becomes Envoy.
    let mut command = Command::new(built("tools/python/bin/python"));
    command.args(["-c", "from envoy._main import main; main()"]);
    command.arg("--config-path").arg(directory.join("envoy.yaml"));
    command.arg("--admin-address-path").arg(directory.join("admin"));
    // Several at once on one machine, and small.
    command.args(["--use-dynamic-base-id", "--concurrency", "1"]);
    command
}

/// Debian keeps servers where only root's PATH leads.
fn of_debian(name: &str) -> Command {
    let there = Path::new("/usr/sbin").join(name);
    if there.exists() { Command::new(there) } else { Command::new(name) }
}

/// Writes a whole configuration: one process, which changes no user and keeps its
/// files in this directory.
fn write_nginx(directory: &Path, site: &str) {
    let configuration = format!(
        "daemon off;
         master_process off;
         pid nginx.pid;
         error_log stderr notice;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path body;
             proxy_temp_path proxy;
             fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi;
             scgi_temp_path scgi;
             {site}
         }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
}

/// Writes both files, and a third that says when it listens, which HAProxy itself does not.
fn write_haproxy(directory: &Path, page: &str) {
    let script = directory.join("counterfoil.lua");
    std::fs::write(&script, block(Proxy::Haproxy, "lua", 0)).unwrap();
    let listens = directory.join("listens.lua");
    let says = "core.register_task(function() io.stderr:write('haproxy listens\\n') end)\n";
    std::fs::write(&listens, says).unwrap();
    let both = format!("{}\n    lua-load {}", script.display(), listens.display());
    let page = page.replace("/etc/haproxy/counterfoil.lua", &both);
    std::fs::write(directory.join("haproxy.cfg"), page).unwrap();
}

fn write_envoy(directory: &Path, page: &str) {
    let anywhere = "address: 0.0.0.0, port_value: 80 ";
    let page = page.replace(anywhere, "address: 127.0.0.1, port_value: 0 ");
    // It tells there which port it has.
    let admin = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";
    std::fs::write(directory.join("envoy.yaml"), format!("{page}{admin}\n")).unwrap();
}

/// A configuration of Envoy's with another address for what listens on `port`.
pub(crate) fn with_ports(page: &str, port: u16, address: SocketAddr) -> String {
    page.replace(&format!("port_value: {port} "), &format!("port_value: {} ", address.port()))
}
