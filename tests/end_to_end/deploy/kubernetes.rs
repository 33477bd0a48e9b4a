//! The manifests for Kubernetes.

use super::{
    documents, file, is_sound, keys, names_after, port, python, set, sharing, text, texts,
};
use crate::{
    certificates::{Authority, Good},
    process::run,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use toml::Table;

const FILES: [&str; 4] = ["configuration", "counterfoil", "network", "services"];

/// All that there is of one kind.
fn of_kind(kind: &str) -> Vec<Value> {
    let all = FILES.iter().flat_map(|name| documents(&format!("kubernetes/{name}.yaml")));
    all.filter(|document| document["kind"] == kind).collect()
}

fn one(kind: &str) -> Value {
    let mut all = of_kind(kind);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn configuration() -> String {
    one("ConfigMap")["data"]["counterfoil.toml"].as_str().unwrap().to_owned()
}

fn read(configuration: &str) -> Table {
    configuration.parse().unwrap()
}

#[test]
fn they_are_what_the_cluster_takes() {
    let mut command = python("kubernetes-validate");
    command.args(["--strict", "--no-warn"]);
    command.args(FILES.map(|name| file(&format!("kubernetes/{name}.yaml"))));
    run(&mut command, &[]).done();
    let here = std::fs::read_dir(file("kubernetes")).unwrap().map(|entry| entry.unwrap().path());
    let here = here.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(here.collect::<BTreeSet<_>>(), set(FILES), "a file that no test reads");
}

#[test]
fn the_configuration_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new(directory.path()).issue("server", Good::Days(60));
    let secrets = directory.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for name in ["database-password", "limiter-password"] {
        std::fs::write(secrets.join(name), "hunter2").unwrap();
    }
    is_sound(
        &configuration(),
        &[
            ("/run/secrets/tls/tls.crt", &pair.certificate),
            ("/run/secrets/tls/tls.key", &pair.key),
            ("/run/secrets/counterfoil", &secrets),
        ],
    );
}

#[test]
fn what_is_said_twice_is_the_same() {
    let text = configuration();
    let configuration = read(&text);
    let deployment = one("Deployment");
    assert_eq!(deployment["spec"]["replicas"], sharing(&configuration));

    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports = container["ports"].as_array().unwrap();
    let exposed = |name: &Value| ports.iter().find(|port| port["name"] == *name);
    for (listener, name) in
        [("server", "server"), ("gateway", "gateway"), ("forward_auth", "forward-auth")]
    {
        let named = exposed(&name.into()).unwrap();
        assert_eq!(named["containerPort"], port(&configuration, listener), "{listener}");
    }
    assert_eq!(
        exposed(&"metrics".into()).unwrap()["containerPort"],
        port(&configuration, "metrics")
    );

    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], *labels);
    for service in of_kind("Service") {
        assert_eq!(service["spec"]["selector"], *labels, "{service}");
        for port in service["spec"]["ports"].as_array().unwrap() {
            assert!(exposed(&port["targetPort"]).is_some(), "{service}");
        }
    }
    assert_eq!(one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], *labels);
    let policy = one("NetworkPolicy");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], *labels);
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    for port in rules.iter().flat_map(|rule| rule["ports"].as_array().unwrap()) {
        assert!(exposed(&port["port"]).is_some(), "{port}");
    }

    // Every file that the configuration names is in a directory that is mounted.
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounted = |name: &str| {
        let mount = mounts.iter().find(|mount| mount["name"] == name).unwrap();
        format!("{}/", mount["mountPath"].as_str().unwrap())
    };
    let secrets = names_after(&text, &mounted("secrets"));
    assert_eq!(secrets, set(["database-password", "limiter-password"]));
    let certificate = names_after(&text, &mounted("tls"));
    assert_eq!(certificate, set(["tls.crt", "tls.key"]));
    let keys = configuration["signing"]["keys_directory"].as_str().unwrap();
    assert_eq!(format!("{keys}/"), mounted("signing-keys"));
    // Others may read none of the secrets: of signing keys a node would say so.
    for volume in pod["volumes"].as_array().unwrap() {
        if let Some(mode) = volume["secret"].get("defaultMode") {
            assert_eq!(*mode, 0o440, "{volume}");
        }
    }
    let names = |list: &Value| -> BTreeSet<String> {
        let names = list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&pod["volumes"]), names(&container["volumeMounts"]));
}

/// What says whether a node is alive and ready, and how it ends.
#[test]
fn probes_ask_where_there_is_an_answer() {
    let configuration = read(&configuration());
    let pod = &one("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let scheme = if configuration["server"].get("tls").is_some() { "HTTPS" } else { "HTTP" };
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let asked = json!({"path": path, "port": "server", "scheme": scheme});
        assert_eq!(container[probe]["httpGet"], asked, "{probe}");
    }
    let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > sleep + 30, "requests under way have 30 seconds, {grace}");
}

/// The standard that Kubernetes calls `restricted`.
#[test]
fn pods_are_restricted() {
    let pod = &one("Deployment")["spec"]["template"]["spec"];
    let of_pod = &pod["securityContext"];
    assert_eq!(of_pod["runAsNonRoot"], true);
    assert_eq!(of_pod["seccompProfile"], json!({"type": "RuntimeDefault"}));
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let of_container = &containers[0]["securityContext"];
    assert_eq!(of_container["allowPrivilegeEscalation"], false);
    assert_eq!(of_container["readOnlyRootFilesystem"], true);
    assert_eq!(of_container["capabilities"], json!({"drop": ["ALL"]}));
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod.get(name).is_none(), "{name}");
    }
    for volume in pod["volumes"].as_array().unwrap() {
        let kinds = keys(volume);
        let allowed = set(["configMap", "emptyDir", "name", "secret"]);
        assert!(kinds.is_subset(&allowed), "{volume}");
    }
    assert_eq!(texts(&containers[0]["args"]), ["serve"]);
}

/// Nothing but what is meant for everybody is.
#[test]
fn forward_auth_is_not_for_everybody() {
    for service in of_kind("Service") {
        let public = service["spec"]["type"] == "LoadBalancer";
        let ports = service["spec"]["ports"].as_array().unwrap();
        let targets: Vec<_> =
            ports.iter().map(|port| port["targetPort"].as_str().unwrap()).collect();
        assert!(!public || targets == ["server"] || targets == ["gateway"], "{service}");
    }
    let policy = one("NetworkPolicy");
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let open = rules.iter().filter(|rule| rule.get("from").is_none());
    let open: Vec<_> =
        open.flat_map(|rule| rule["ports"].as_array().unwrap()).map(|port| &port["port"]).collect();
    assert_eq!(open, ["server", "gateway"]);
    assert_eq!(text("kubernetes/counterfoil.yaml").matches("containerPort: 8082").count(), 1);
}
