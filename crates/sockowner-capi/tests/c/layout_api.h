/* The layout of sockowner.h's structures where pointers and size_t have 64 bits: S(struct, size),
 * F(struct, field, offset). No structure has padding there. Elsewhere it follows from the order of the fields. */
#ifndef LAYOUT_API_H
#define LAYOUT_API_H

#define SOCKOWNER_API_LAYOUT(S, F) \
    S(sockowner_filter, 104) F(sockowner_filter, size, 0) F(sockowner_filter, protocol, 8) \
    F(sockowner_filter, family, 16) F(sockowner_filter, state, 24) F(sockowner_filter, user, 32) \
    F(sockowner_filter, unit, 40) F(sockowner_filter, container, 48) F(sockowner_filter, executable, 56) \
    F(sockowner_filter, pid, 64) F(sockowner_filter, flags, 68) F(sockowner_filter, reserved, 72) \
    S(sockowner_service, 56) F(sockowner_service, size, 0) F(sockowner_service, name, 8) \
    F(sockowner_service, kind, 16) F(sockowner_service, manager, 24) F(sockowner_service, uid, 32) \
    F(sockowner_service, reserved32, 36) F(sockowner_service, reserved, 40) \
    S(sockowner_container, 72) F(sockowner_container, size, 0) F(sockowner_container, runtime, 8) \
    F(sockowner_container, id, 16) F(sockowner_container, pod, 24) F(sockowner_container, manager, 32) \
    F(sockowner_container, nested_count, 40) F(sockowner_container, nested, 48) \
    F(sockowner_container, reserved, 56) \
    S(sockowner_process, 136) F(sockowner_process, size, 0) F(sockowner_process, name, 8) \
    F(sockowner_process, comm, 16) F(sockowner_process, path, 24) F(sockowner_process, user, 32) \
    F(sockowner_process, service, 40) F(sockowner_process, container, 48) F(sockowner_process, start_ticks, 56) \
    F(sockowner_process, start_time, 64) F(sockowner_process, exe_device, 72) F(sockowner_process, exe_inode, 80) \
    F(sockowner_process, pid, 88) F(sockowner_process, uid, 92) F(sockowner_process, path_verified, 96) \
    F(sockowner_process, exited, 100) F(sockowner_process, reserved, 104) \
    S(sockowner_holder, 40) F(sockowner_holder, size, 0) F(sockowner_holder, process, 8) \
    F(sockowner_holder, tid, 16) F(sockowner_holder, fd, 20) F(sockowner_holder, reserved, 24) \
    S(sockowner_candidate, 40) F(sockowner_candidate, size, 0) F(sockowner_candidate, process, 8) \
    F(sockowner_candidate, evidence, 16) F(sockowner_candidate, reserved, 24) \
    S(sockowner_frame, 56) F(sockowner_frame, size, 0) F(sockowner_frame, name, 8) F(sockowner_frame, path, 16) \
    F(sockowner_frame, build_id, 24) F(sockowner_frame, offset, 32) F(sockowner_frame, reserved, 40) \
    S(sockowner_component, 104) F(sockowner_component, size, 0) F(sockowner_component, name, 8) \
    F(sockowner_component, path, 16) F(sockowner_component, build_id, 24) F(sockowner_component, offset, 32) \
    F(sockowner_component, evidence, 40) F(sockowner_component, frame_count, 48) \
    F(sockowner_component, frames, 56) F(sockowner_component, generated, 64) \
    F(sockowner_component, reserved32, 68) F(sockowner_component, reserved, 72) \
    S(sockowner_role, 168) F(sockowner_role, size, 0) F(sockowner_role, name, 8) F(sockowner_role, comm, 16) \
    F(sockowner_role, path, 24) F(sockowner_role, evidence, 32) F(sockowner_role, service, 40) \
    F(sockowner_role, container, 48) F(sockowner_role, component, 56) F(sockowner_role, start_ticks, 64) \
    F(sockowner_role, start_time, 72) F(sockowner_role, time, 80) F(sockowner_role, exe_device, 88) \
    F(sockowner_role, exe_inode, 96) F(sockowner_role, cgroup_id, 104) F(sockowner_role, pid, 112) \
    F(sockowner_role, tid, 116) F(sockowner_role, uid, 120) F(sockowner_role, implicit, 124) \
    F(sockowner_role, deleted, 128) F(sockowner_role, kernel_thread, 132) F(sockowner_role, reserved, 136) \
    S(sockowner_roles, 104) F(sockowner_roles, size, 0) F(sockowner_roles, creator, 8) \
    F(sockowner_roles, binder, 16) F(sockowner_roles, listener, 24) F(sockowner_roles, acceptor, 32) \
    F(sockowner_roles, creator_reason, 40) F(sockowner_roles, binder_reason, 48) \
    F(sockowner_roles, listener_reason, 56) F(sockowner_roles, acceptor_reason, 64) \
    F(sockowner_roles, reserved, 72) \
    S(sockowner_endpoint, 304) F(sockowner_endpoint, size, 0) F(sockowner_endpoint, protocol, 8) \
    F(sockowner_endpoint, family, 16) F(sockowner_endpoint, state, 24) F(sockowner_endpoint, local_address, 32) \
    F(sockowner_endpoint, remote_address, 40) F(sockowner_endpoint, local_bytes, 48) \
    F(sockowner_endpoint, remote_bytes, 64) F(sockowner_endpoint, local_scope, 80) \
    F(sockowner_endpoint, remote_scope, 84) F(sockowner_endpoint, local_port, 88) \
    F(sockowner_endpoint, remote_port, 90) F(sockowner_endpoint, uid, 92) F(sockowner_endpoint, netns, 96) \
    F(sockowner_endpoint, inode, 104) F(sockowner_endpoint, cookie, 112) F(sockowner_endpoint, cgroup_id, 120) \
    F(sockowner_endpoint, cgroup_path, 128) F(sockowner_endpoint, user, 136) F(sockowner_endpoint, service, 144) \
    F(sockowner_endpoint, container, 152) F(sockowner_endpoint, owner, 160) F(sockowner_endpoint, evidence, 168) \
    F(sockowner_endpoint, reason, 176) F(sockowner_endpoint, match, 184) F(sockowner_endpoint, holder_count, 192) \
    F(sockowner_endpoint, holders, 200) F(sockowner_endpoint, candidate_count, 208) \
    F(sockowner_endpoint, candidates, 216) F(sockowner_endpoint, created_at, 224) \
    F(sockowner_endpoint, changed, 232) F(sockowner_endpoint, reserved32, 236) \
    F(sockowner_endpoint, roles, 240) F(sockowner_endpoint, closed_at, 248) F(sockowner_endpoint, reserved, 256) \
    S(sockowner_gap, 56) F(sockowner_gap, size, 0) F(sockowner_gap, source, 8) F(sockowner_gap, object, 16) \
    F(sockowner_gap, reason, 24) F(sockowner_gap, count, 32) F(sockowner_gap, reserved, 40) \
    S(sockowner_result, 72) F(sockowner_result, size, 0) F(sockowner_result, endpoint_count, 8) \
    F(sockowner_result, endpoints, 16) F(sockowner_result, gap_count, 24) F(sockowner_result, gaps, 32) \
    F(sockowner_result, reserved, 40)

#endif
