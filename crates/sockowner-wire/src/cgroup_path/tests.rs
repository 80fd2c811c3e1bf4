//! One line for a path: `path | service | container # remark`.
//!
//! `<A>`, `<B>`, `<C>` are container ids, `<U>` is a pod's UID with dashes and `<U_>` the same with
//! underscores, `<S>` is a static pod's UID. A service reads `name manager [uid]`, a container
//! `runtime id [in pod] manager [> nested]...`, with `?` for a manager that is not known.

use proptest::prelude::*;

use super::*;

const NAMES: [(&str, &str); 6] = [
    ("<A>", "3350ade4226f0adcd9e4e9545d7c2a16a5aa362d12315f2a88e2024cea1246cf"),
    ("<B>", "05c48c82caff3be3d7f1e896981dd410e81487538936914f32b624d168de9db0"),
    ("<C>", "e8c29da1a2f6c4bb032304f7dfbc5a767e026092c4a2fcbc830e58565f972f54"),
    ("<U>", "87a18a64-b74a-454a-b10b-a4a36059d0a3"),
    ("<U_>", "87a18a64_b74a_454a_b10b_a4a36059d0a3"),
    ("<S>", "03752a671e744971a862edcee6195646"),
];

fn full(text: &str) -> String {
    NAMES.iter().fold(text.to_owned(), |text, (short, long)| text.replace(short, long))
}

fn show_service(unit: &Unit) -> String {
    let uid = unit.uid.map_or(String::new(), |uid| format!(" {uid}"));
    format!("{} {}{uid}", String::from_utf8_lossy(&unit.name), unit.manager.as_str())
}

fn show_container(container: &Container) -> String {
    let (runtime, id) = (container.runtime.as_str(), String::from_utf8_lossy(&container.id));
    let pod = container.pod.as_ref().map(|pod| format!(" in {}", String::from_utf8_lossy(pod)));
    let manager = container.manager.map_or("?", Manager::as_str);
    let nested = container.nested.iter().map(|nested| format!(" > {}", show_container(nested)));
    format!("{runtime} {id}{} {manager}{}", pod.unwrap_or_default(), nested.collect::<String>())
}

#[track_caller]
fn check(table: &str) {
    for row in table.lines().filter(|row| !row.trim().is_empty()) {
        let row = row.split(" # ").next().unwrap_or_default();
        let [path, service, container] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("no row of three: {row}");
        };
        let found = place(full(path).as_bytes());
        let found_service = found.service.as_ref().map_or(String::new(), show_service);
        let found_container = found.container.as_ref().map_or(String::new(), show_container);
        let found = (found_service, found_container);
        assert_eq!(found, (full(service), full(container)), "{path}");
    }
}

#[test]
fn services_of_the_system() {
    check(
        r"
        /system.slice/ssh.service | ssh.service system |
        /system.slice/system-getty.slice/getty@tty1.service | getty@tty1.service system |
        /foo.slice/foo-bar.slice/x.service | x.service system |
        /x.service | x.service system | # Slice=-.slice
        /user.slice/user-1000.slice/user-runtime-dir@1000.service | user-runtime-dir@1000.service system |
        /system.slice/system-systemd\x2dcryptsetup.slice/systemd-cryptsetup@dev\x2dsda.service | systemd-cryptsetup@dev\x2dsda.service system |
        /system.slice/x.service (deleted) | x.service system |
        ",
    );
}

#[test]
fn a_name_that_would_clash_with_a_cgroup_file_has_an_underscore_there() {
    check(
        r"
        /system.slice/_cpu.service | cpu.service system |
        /system.slice/__x.service | _x.service system |
        /_io.slice/x.service | x.service system |
        ",
    );
}

#[test]
fn what_is_no_service() {
    check(
        r"
        / | |
        ssh.service | |
        /init.scope | |
        /system.slice | |
        /user.slice/user-1000.slice/session-3.scope | |
        /system.slice/run-u42.scope | |
        /system.slice/.service | |
        /system.slice/x@.service | | # a template cannot run
        /system.slice/a b.service | | # not of a unit's characters
        /system.slice/ssh.socket | |
        /system.slice/ssh.service.d | |
        ",
    );
}

#[test]
fn what_is_no_path_or_no_name_says_nothing() {
    for path in ["", "system.slice/ssh.service", "/system.slice/\x1b[2J.service", "//", "/\0"] {
        assert_eq!(place(path.as_bytes()), Placement::default(), "{path:?}");
    }
}

#[test]
fn plain_engines_are_services_and_no_containers() {
    check(
        r"
        /system.slice/docker.service | docker.service system |
        /system.slice/containerd.service | containerd.service system |
        /system.slice/crio.service | crio.service system |
        /system.slice/snap.docker.dockerd.service | snap.docker.dockerd.service system |
        /docker | |
        /kubepods.slice/kubepods-burstable.slice | |
        ",
    );
}

#[test]
fn below_a_service_its_own_processes_name() {
    check(
        r"
        /system.slice/evil.service/ssh.service | evil.service system |
        /system.slice/evil.service/system.slice/ssh.service | evil.service system |
        /system.slice/evil.service/user.slice/user-0.slice/user@0.service/x.service | evil.service system |
        /system.slice/evil.service/docker-<A>.scope | evil.service system | docker <A> ?
        /system.slice/evil.service/docker-<A>.scope/system.slice/ssh.service | evil.service system | docker <A> ?
        ",
    );
}

#[test]
fn below_a_scope_its_own_processes_name() {
    check(
        r"
        /user.slice/user-1000.slice/session-3.scope/ssh.service | |
        /user.slice/user-1000.slice/session-3.scope/system.slice/ssh.service | |
        /user.slice/user-1000.slice/session-3.scope/docker-<A>.scope | | docker <A> ?
        /user.slice/user-1000.slice/session-3.scope/docker-<A>.scope/system.slice/ssh.service | | docker <A> ?
        /init.scope/system.slice/ssh.service | |
        ",
    );
}

#[test]
fn below_a_directory_that_is_no_slice_nothing_is_the_systems() {
    check(
        r"
        /anything/ssh.service | |
        /anything/system.slice/ssh.service | |
        /anything/docker/<A> | | docker <A> ?
        /system.slice/bad name.slice/ssh.service | |
        /system.slice/x@y.slice/ssh.service | |
        ",
    );
}

#[test]
fn services_of_a_user() {
    check(
        r"
        /user.slice/user-1000.slice/user@1000.service/app.slice/x.service | x.service user 1000 |
        /user.slice/user-0.slice/user@0.service/session.slice/dbus.service | dbus.service user 0 |
        /user.slice/user-1000.slice/user@1000.service/dbus.service | dbus.service user 1000 |
        /user.slice/user-1000.slice/user@1000.service/app.slice/app-foo.slice/app-foo@1.service/x | app-foo@1.service user 1000 |
        ",
    );
}

#[test]
fn a_forged_name_below_a_users_manager_is_the_users() {
    check(
        r"
        /user.slice/user-1000.slice/user@1000.service/ssh.service | ssh.service user 1000 |
        /user.slice/user-1000.slice/user@1000.service/system.slice/ssh.service | ssh.service user 1000 |
        /user.slice/user-1000.slice/user@1000.service/user.slice/user-0.slice/user@0.service/ssh.service | user@0.service user 1000 |
        /user.slice/user-1000.slice/user@1000.service/docker-<A>.scope | user@1000.service system | docker <A> user
        /user.slice/user-1000.slice/user@1000.service/docker-<A>.scope/system.slice/ssh.service | ssh.service container | docker <A> user
        /user.slice/user-1000.slice/user@1000.service/app.slice/x.service/docker/<A> | x.service user 1000 | docker <A> user
        ",
    );
}

#[test]
fn a_users_process_in_no_service_of_the_user_is_in_the_users_manager() {
    check(
        r"
        /user.slice/user-1000.slice/user@1000.service | user@1000.service system |
        /user.slice/user-1000.slice/user@1000.service/init.scope | user@1000.service system |
        /user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-77.scope | user@1000.service system |
        /user.slice/user-1000.slice/user@1000.service/x/ssh.service | user@1000.service system |
        /user.slice/user-1000.slice/user@1000.service/app.slice/x.scope/ssh.service | user@1000.service system |
        ",
    );
}

#[test]
fn a_users_manager_counts_in_its_own_place_only() {
    check(
        r"
        /user.slice/user-1000.slice/user@1001.service/x.service | user@1001.service system |
        /user.slice/user@1000.service/x.service | user@1000.service system |
        /system.slice/user@1000.service/x.service | user@1000.service system |
        /user.slice/user-01000.slice/user@01000.service/x.service | user@01000.service system |
        /user.slice/user-.slice/user@.service/x.service | |
        /user.slice/user-4294967296.slice/user@4294967296.service/x.service | user@4294967296.service system |
        /x.slice/user.slice/user-1000.slice/user@1000.service/x.service | user@1000.service system |
        /user.slice/user-1000.slice/session-3.scope/user@1000.service/x.service | |
        ",
    );
}

#[test]
fn docker_by_cgroupfs() {
    check(
        r"
        /docker/<A> | | docker <A> system
        /docker/<A>/init | | docker <A> system
        /docker/<A> (deleted) | | docker <A> system
        ",
    );
}

#[test]
fn docker_by_systemd() {
    check(
        r"
        /system.slice/docker-<A>.scope | | docker <A> system
        /my.slice/docker-<A>.scope/init.scope | | docker <A> system
        ",
    );
}

#[test]
fn a_service_in_a_container_is_the_containers() {
    check(
        r"
        /docker/<A>/system.slice/nginx.service | nginx.service container | docker <A> system
        /system.slice/docker-<A>.scope/system.slice/ssh.service | ssh.service container | docker <A> system
        /system.slice/docker-<A>.scope/evil/ssh.service | | docker <A> system
        /system.slice/docker-<A>.scope/user.slice/user-1000.slice/user@1000.service/x.service | user@1000.service container | docker <A> system
        ",
    );
}

#[test]
fn docker_in_docker() {
    check(
        r"
        /docker/<A>/docker/<B> | | docker <A> system > docker <B> container
        /system.slice/docker-<A>.scope/docker/<B> | | docker <A> system > docker <B> container
        /system.slice/docker-<A>.scope/system.slice/docker-<B>.scope/docker/<C> | | docker <A> system > docker <B> container > docker <C> container
        /docker/<A>/docker/<B>/system.slice/x.service | x.service container | docker <A> system > docker <B> container
        ",
    );
}

#[test]
fn below_an_engines_service_the_engine_names_and_the_path_cannot_vouch_for_it() {
    check(
        r"
        /system.slice/docker.service/docker/<A> | docker.service system | docker <A> ?
        /system.slice/docker.service/<A> | docker.service system |
        /system.slice/k3s.service/kubepods/pod<U>/<A> | k3s.service system | kubernetes <A> in <U> ?
        ",
    );
}

#[test]
fn podman_of_root() {
    check(
        r"
        /machine.slice/libpod-<A>.scope | | podman <A> system
        /machine.slice/libpod-<A>.scope/container | | podman <A> system
        /machine.slice/libpod-<A>.scope/container/system.slice/x.service | x.service container | podman <A> system
        /libpod_parent/libpod-<A> | | podman <A> system
        ",
    );
}

#[test]
fn podman_of_a_user() {
    check(
        r"
        /user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<A>.scope/container | user@1000.service system | podman <A> user
        /user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<A>.scope/container/system.slice/x.service | x.service container | podman <A> user
        ",
    );
}

#[test]
fn podman_in_a_service_by_split_cgroups() {
    check(
        r"
        /system.slice/nginx.service/libpod-payload-<A> | nginx.service system | podman <A> ?
        /system.slice/nginx.service/runtime | nginx.service system |
        /system.slice/nginx.service/libpod-payload-<A>/system.slice/x.service | nginx.service system | podman <A> ?
        /user.slice/user-1000.slice/user@1000.service/app.slice/redis.service/libpod-payload-<A> | redis.service user 1000 | podman <A> user
        ",
    );
}

#[test]
fn podman_pods() {
    check(
        r"
        /machine.slice/machine-libpod_pod_<B>.slice/libpod-<A>.scope/container | | podman <A> in <B> system
        /user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_<B>.slice/libpod-<A>.scope | user@1000.service system | podman <A> in <B> user
        ",
    );
}

#[test]
fn monitors_are_the_hosts() {
    check(
        r"
        /machine.slice/libpod-conmon-<A>.scope | |
        /kubepods.slice/kubepods-pod<U_>.slice/crio-conmon-<A>.scope | |
        /libpod_parent/conmon | |
        /lxc.monitor.web | |
        /lxc.monitor/101 | |
        /machine.slice/machine-web.scope/supervisor | |
        /machine.slice/systemd-nspawn@web.service/supervisor | systemd-nspawn@web.service system |
        ",
    );
}

#[test]
fn kubernetes_by_containerd() {
    check(
        r"
        /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<U_>.slice/cri-containerd-<A>.scope | | containerd <A> in <U> system
        /kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<U_>.slice/cri-containerd-<A>.scope | | containerd <A> in <U> system
        /system.slice/nerdctl-<A>.scope | | containerd <A> system
        ",
    );
}

#[test]
fn kubernetes_by_cri_o() {
    check(
        r"
        /kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<U_>.slice/crio-<A>.scope | | cri-o <A> in <U> system
        /kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<U_>.slice/crio-<A>.scope/container | | cri-o <A> in <U> system
        /kubepods/besteffort/pod<U>/crio-<A> | | cri-o <A> in <U> system
        ",
    );
}

#[test]
fn kubernetes_by_docker() {
    check(
        r"
        /kubepods.slice/kubepods-pod<U_>.slice/docker-<A>.scope | | docker <A> in <U> system
        ",
    );
}

#[test]
fn kubernetes_by_cgroupfs() {
    check(
        r"
        /kubepods/burstable/pod<U>/<A> | | kubernetes <A> in <U> system
        /kubepods/besteffort/pod<U>/<A> | | kubernetes <A> in <U> system
        /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<U_>.slice/<A> | | kubernetes <A> in <U> system
        ",
    );
}

#[test]
fn a_guaranteed_pod_has_no_level_for_its_class() {
    check(
        r"
        /kubepods/pod<U>/<A> | | kubernetes <A> in <U> system
        /kubepods.slice/kubepods-pod<U_>.slice/cri-containerd-<A>.scope | | containerd <A> in <U> system
        ",
    );
}

#[test]
fn a_static_pods_uid_has_no_dashes() {
    check(
        r"
        /kubepods/burstable/pod<S>/<A> | | kubernetes <A> in <S> system
        /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<S>.slice/crio-<A>.scope | | cri-o <A> in <S> system
        ",
    );
}

#[test]
fn where_kubelet_and_runtime_disagree_about_the_driver() {
    check(
        r"
        /kubepods-burstable-pod<U_>.slice:cri-containerd:<A> | | containerd <A> in <U> system
        /system.slice/containerd.service/kubepods-pod<U_>.slice:cri-containerd:<A> | containerd.service system | containerd <A> in <U> ?
        /kubepods.slice/kubepods-pod<U_>.slice/kubepods-pod<U_>.slice:crio:<A> | | cri-o <A> in <U> system
        /system.slice:docker:<A> | | docker <A> system
        /kubepods-pod<U_>:cri-containerd:<A> | |
        ",
    );
}

#[test]
fn a_node_in_a_container_as_kind_has_it() {
    check(
        r"
        /docker/<A>/kubelet/kubepods/besteffort/pod<U>/<B> | | docker <A> system > kubernetes <B> in <U> container
        /docker/<A>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod<U_>.slice/cri-containerd-<B>.scope | | docker <A> system > containerd <B> in <U> container
        /system.slice/docker-<A>.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<U_>.slice/cri-containerd-<B>.scope | | docker <A> system > containerd <B> in <U> container
        /system.slice/docker-<A>.scope/kubelet.slice/kubelet.service | kubelet.service container | docker <A> system
        ",
    );
}

#[test]
fn a_node_in_a_container_as_k3d_has_it() {
    check(
        r"
        /docker/<A>/kubepods/burstable/pod<U>/<B> | | docker <A> system > kubernetes <B> in <U> container
        ",
    );
}

#[test]
fn outside_the_readers_cgroup_namespace() {
    check(
        r"
        /.. | |
        /../../../kubepods/burstable/pod<U>/<A> | | kubernetes <A> in <U> ?
        /../../../kubepods.slice/kubepods-pod<U_>.slice/cri-containerd-<A>.scope | | containerd <A> in <U> ?
        /../../pod<U>/<A> | | kubernetes <A> in <U> ?
        /../cri-containerd-<A>.scope | | containerd <A> ?
        /../<A> | |
        /../docker/<A>/docker/<B> | | docker <A> ? > docker <B> container
        /../ssh.service | |
        /../../system.slice/ssh.service | |
        /../../user.slice/user-1000.slice/user@1000.service/x.service | |
        /../system.slice/docker-<A>.scope/system.slice/ssh.service | | docker <A> ?
        /../lxc/web | |
        ",
    );
}

#[test]
fn ecs() {
    check(
        r"
        /ecs/<S>/<S>-4015103728 | | ecs <S>-4015103728 system
        /ecs/<U>/<A> | | ecs <A> system
        /ecs/my-cluster/<S>/<A> | | ecs <A> system
        /ecstasks.slice/ecstasks-<S>.slice/docker-<A>.scope | | docker <A> system
        /ecs/<S>/<S>- | |
        /ecs/<S>/<S>-12x | |
        /ecs/<S>/<S> | |
        /ecs/<S> | |
        ",
    );
}

#[test]
fn lxc() {
    check(
        r"
        /lxc.payload.web | | lxc web system
        /lxc.payload.web/system.slice/nginx.service | nginx.service container | lxc web system
        /lxc.payload.my.web-1/.lxc | | lxc my.web-1 system
        /lxc.payload/web/init.scope | | lxc web system
        /lxc/101/ns/system.slice/x.service | x.service container | lxc 101 system
        /lxc/web | | lxc web system
        /lxc.payload.a/lxc.payload.b/docker/<A> | | lxc a system > lxc b container > docker <A> container
        /lxc.payload. | |
        /lxc | |
        /system.slice/x.service/lxc/web | x.service system | # any directory may be so named
        ",
    );
}

#[test]
fn systemd_nspawn() {
    check(
        r"
        /machine.slice/machine-web.scope | | systemd-nspawn web system
        /machine.slice/machine-web.scope/payload/init.scope | | systemd-nspawn web system
        /machine.slice/machine-my\x2dweb.scope/payload/system.slice/x.service | x.service container | systemd-nspawn my-web system
        /machine.slice/systemd-nspawn@my-web.service/payload/system.slice/x.service | x.service container | systemd-nspawn my-web system
        /machine.slice/systemd-nspawn@web.service/payload/init.scope | | systemd-nspawn web system
        /machine.slice/systemd-nspawn@web.service | systemd-nspawn@web.service system |
        /machine.slice/machine-my-web.scope | | # machined escapes a dash
        /machine.slice/machine-a\x2fb.scope | |
        /machine.slice/machine-.scope | |
        /system.slice/machine-web.scope | |
        ",
    );
}

#[test]
fn virtual_machines_are_no_containers() {
    check(
        r"
        /machine.slice/machine-qemu\x2d1\x2dwin.scope/libvirt/emulator | |
        /machine.slice/machine-qemu\x2d1\x2dwin.scope | |
        /machine.slice/machine-win.scope/libvirt/vcpu0 | |
        /machine.slice/machine-qemu\x2dx.scope/payload | | systemd-nspawn qemu-x system
        ",
    );
}

#[test]
fn an_id_is_whole_or_none() {
    let upper = full("/docker/<A>").to_uppercase().replace("DOCKER", "docker");
    let cut = |path: &str, by: usize| full(path)[..full(path).len() - by].to_owned();
    let paths = [
        upper,
        cut("/docker/<A>", 1),
        full("/docker/<A>0"),
        full("/docker/x<A>"),
        full("/system.slice/docker-<A>0.scope"),
        full("/system.slice/docker-x-<A>.scope"),
        full("/system.slice/docker-<A>.scope.d"),
        "/system.slice/docker-0123456789ab.scope".to_owned(),
        full("/system.slice/mydocker-<A>.scope"),
        full("/kubepods/burstable/podx/<A>"),
        full("/kubepods/burstable/pod<U>"),
        full("/kubepods/pod<U>/<A>0"),
        full("/kubepods/pod<U>/<A>").replace("d0a3", "d0ag"),
    ];
    for path in paths {
        assert_eq!(place(path.as_bytes()), Placement::default(), "{path}");
    }
}

#[test]
fn a_pod_whose_uid_is_not_one_is_none() {
    check(
        r"
        /kubepods.slice/kubepods-burstable-podx.slice/crio-<A>.scope | | cri-o <A> system
        /kubepods.slice/kubepods-pod<U>.slice/crio-<A>.scope | | cri-o <A> system
        /x.slice/x-pod<U_>.slice/crio-<A>.scope | | cri-o <A> system
        /x.slice/x-burstable-pod<U_>.slice/crio-<A>.scope | | cri-o <A> system
        ",
    );
}

/// What may stand in a path, hostile or not.
const SEGMENTS: [&str; 24] = [
    "..",
    "user.slice",
    "user-1000.slice",
    "user@1000.service",
    "system.slice",
    "ssh.service",
    "x.scope",
    "docker",
    "<A>",
    "docker-<A>.scope",
    "libpod_parent",
    "libpod-<B>.scope",
    "container",
    "kubelet",
    "kubepods",
    "burstable",
    "pod<U>",
    "kubepods-pod<U_>.slice:crio:<C>",
    "ecs",
    "<S>",
    "lxc",
    "machine.slice",
    "machine-web.scope",
    "payload",
];

proptest! {
    #[test]
    fn never_panics(path in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = place(&path);
    }

    #[test]
    fn never_panics_and_never_believes_what_is_hidden(
        segments in prop::collection::vec(prop::sample::select(SEGMENTS.to_vec()), 0..10),
    ) {
        let path = full(&format!("/{}", segments.join("/")));
        for end in 0..=path.len() {
            let _ = place(&path.as_bytes()[..end]);
        }
        let hidden = place(format!("/..{path}").as_bytes());
        prop_assert_eq!(hidden.service, None);
        prop_assert_eq!(hidden.container.and_then(|container| container.manager), None);
    }

    #[test]
    fn nothing_below_a_user_is_the_systems(
        segments in prop::collection::vec(prop::sample::select(SEGMENTS.to_vec()), 0..10),
    ) {
        let below = full(&segments.join("/"));
        let found = place(format!("/user.slice/user-1000.slice/user@1000.service/{below}").as_bytes());
        let service = found.service.expect("the user's manager at least");
        let systems = service.manager == Manager::System;
        prop_assert!(!systems || service.name == b"user@1000.service", "{:?}", service);
        prop_assert!(found.container.is_none_or(|outer| outer.manager == Some(Manager::User)));
    }

    #[test]
    fn nothing_below_a_container_is_the_systems_or_a_users(
        segments in prop::collection::vec(prop::sample::select(SEGMENTS.to_vec()), 0..10),
    ) {
        let found = place(full(&format!("/docker/<A>/{}", segments.join("/"))).as_bytes());
        let outer = found.container.expect("the container at least");
        prop_assert_eq!(outer.id, full("<A>").into_bytes());
        prop_assert!(outer.nested.iter().all(|nested| nested.manager == Some(Manager::Container)));
        prop_assert!(found.service.is_none_or(|service| service.manager == Manager::Container));
    }

    #[test]
    fn nothing_below_a_service_is_another_service(
        segments in prop::collection::vec(prop::sample::select(SEGMENTS.to_vec()), 0..10),
    ) {
        let found = place(full(&format!("/system.slice/a.service/{}", segments.join("/"))).as_bytes());
        prop_assert_eq!(found.service.expect("the service").name, b"a.service".to_vec());
        prop_assert!(found.container.is_none_or(|outer| outer.manager.is_none()));
    }
}
