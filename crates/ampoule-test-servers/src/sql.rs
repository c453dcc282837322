//! Starts PostgreSQL, MariaDB and PgBouncer.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::node::{Node, free_port};
use crate::server::Server;
use crate::tools::{Setup, StartError, create_folder, find_program, is_root, run, to_strings, write_files};

pub(crate) fn postgres(durable: bool, setup: &Setup) -> Result<Server, StartError> {
    let [server, initdb, pg_isready, psql] = [
        postgres_program("postgres")?,
        postgres_program("initdb")?,
        postgres_program("pg_isready")?,
        postgres_program("psql")?,
    ];
    let (port, folder) = (free_port(), create_folder()?);
    let data = folder.join("data").display().to_string();
    let extra = write_files(setup, &folder)?;
    let user = as_postgres(&folder)?;
    let as_user = |rest: &[&str]| [user.clone(), to_strings(rest)].concat();
    let init = as_user(&[&initdb, "-D", &data, "-U", "ampoule", "-A", "trust", "-E", "UTF8", "--no-sync"]);
    run(Command::new(&init[0]).args(&init[1..]).current_dir(&folder))?;
    let socket = folder.display().to_string();
    let mut command = as_user(&[
        &server,
        "-D",
        &data,
        "-p",
        &port.to_string(),
        "-h",
        "127.0.0.1",
        "-k",
        &socket,
        "-c",
        "max_connections=200",
    ]);
    if !durable {
        command.extend(to_strings(&["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]));
    }
    command.extend(extra);
    let is_ready = move |port: u16| {
        let mut check = Command::new(&pg_isready);
        check.args(["-q", "-h", "127.0.0.1", "-U", "ampoule", "-d", "postgres", "-p", &port.to_string()]);
        check.status().is_ok_and(|status| status.success())
    };
    // SIGQUIT is its immediate shutdown, which releases the shared memory.
    let node = Node::start(port, folder, command, "QUIT", is_ready)?;
    let mut create = Command::new(psql);
    create.args([
        "-h",
        "127.0.0.1",
        "-U",
        "ampoule",
        "-d",
        "postgres",
        "-p",
        &port.to_string(),
        "-c",
        "CREATE DATABASE ampoule",
    ]);
    run(&mut create)?;
    Ok(Server { url: format!("postgres://ampoule@127.0.0.1:{port}/ampoule"), nodes: vec![node] })
}

/// Finds the program in the newest version's folder, since Debian does not put these programs in the path.
fn postgres_program(name: &'static str) -> Result<String, StartError> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<_> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    programs.sort();
    programs.pop().map_or_else(|| find_program(name), |path| Ok(path.display().to_string()))
}

pub(crate) fn mariadb(durable: bool, setup: &Setup) -> Result<Server, StartError> {
    let [server, install, admin] =
        [find_program("mariadbd")?, find_program("mariadb-install-db")?, find_program("mariadb-admin")?];
    let (port, folder) = (free_port(), create_folder()?);
    let data = format!("--datadir={}", folder.join("data").display());
    let user: &[&str] = if is_root() { &["--user=root"] } else { &[] };
    let mut init = Command::new(install);
    init.args(["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"]).args(user);
    // Concurrent installations would use the same names in the common folder for temporary files.
    let temporary = format!("--tmpdir={}", folder.display());
    run(init.arg(&temporary).env("TMPDIR", &folder).current_dir(&folder))?;
    let socket = format!("--socket={}", folder.join("socket").display());
    let port_option = format!("--port={port}");
    let mut command = to_strings(&[&server, "--no-defaults", &data, &socket, &port_option, "--bind-address=127.0.0.1"]);
    command.push(temporary);
    command.extend(to_strings(&["--skip-log-bin", "--innodb-buffer-pool-size=128M", "--max-connections=200"]));
    command.extend(to_strings(user));
    if !durable {
        command.push("--innodb-flush-log-at-trx-commit=0".to_owned());
    }
    command.extend(write_files(setup, &folder)?);
    let program = admin.clone();
    let is_ready =
        move |port: u16| mariadb_admin(&program, port, &["ping"]).status().is_ok_and(|status| status.success());
    let node = Node::start(port, folder, command, "KILL", is_ready)?;
    run(&mut mariadb_admin(&admin, port, &["create", "ampoule"]))?;
    Ok(Server { url: format!("mysql://root@127.0.0.1:{port}/ampoule"), nodes: vec![node] })
}

fn mariadb_admin(program: &str, port: u16, arguments: &[&str]) -> Command {
    let mut admin = Command::new(program);
    admin.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "root", "-P", &port.to_string()]);
    admin.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    admin
}

/// Starts PgBouncer and its PostgreSQL. In transaction mode it has only four connections, so that clients share them.
pub(crate) fn pgbouncer(mode: &str) -> Result<Server, StartError> {
    let program = find_program("pgbouncer")?;
    let postgres = postgres(false, &Setup::default())?;
    let (port, folder) = (free_port(), create_folder()?);
    let size = if mode == "session" { 60 } else { 4 };
    let settings = format!(
        "[databases]\nampoule = host=127.0.0.1 port={} user=ampoule\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
         default_pool_size = {size}\nmax_client_conn = 500\n",
        postgres.node().port
    );
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, settings)?;
    let command = [as_postgres(&folder)?, to_strings(&[&program, &file.display().to_string()])].concat();
    let is_ready = |port| std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok();
    let pooler = Node::start(port, folder, command, "KILL", is_ready)?;
    let mut nodes = vec![pooler];
    nodes.extend(postgres.nodes);
    Ok(Server { url: format!("postgres://ampoule@127.0.0.1:{port}/ampoule"), nodes })
}

/// Gives the folder to the user `postgres` and returns the command that switches to that user, if this process runs as
/// root: PostgreSQL and PgBouncer refuse to run as root, and their packages create this user.
fn as_postgres(folder: &Path) -> Result<Vec<String>, StartError> {
    if !is_root() {
        return Ok(Vec::new());
    }
    run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder))?;
    Ok(to_strings(&["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]))
}
