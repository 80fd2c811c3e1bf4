_sockowner() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="sockowner"
                ;;
            sockowner,record)
                cmd="sockowner__subcmd__record"
                ;;
            sockowner,share)
                cmd="sockowner__subcmd__share"
                ;;
            sockowner,status)
                cmd="sockowner__subcmd__status"
                ;;
            sockowner,wait)
                cmd="sockowner__subcmd__wait"
                ;;
            sockowner,watch)
                cmd="sockowner__subcmd__watch"
                ;;
            sockowner,who)
                cmd="sockowner__subcmd__who"
                ;;
            sockowner__subcmd__record,run)
                cmd="sockowner__subcmd__record__subcmd__run"
                ;;
            sockowner__subcmd__record,start)
                cmd="sockowner__subcmd__record__subcmd__start"
                ;;
            sockowner__subcmd__record,status)
                cmd="sockowner__subcmd__record__subcmd__status"
                ;;
            sockowner__subcmd__record,stop)
                cmd="sockowner__subcmd__record__subcmd__stop"
                ;;
            sockowner__subcmd__share,disable)
                cmd="sockowner__subcmd__share__subcmd__disable"
                ;;
            sockowner__subcmd__share,enable)
                cmd="sockowner__subcmd__share__subcmd__enable"
                ;;
            sockowner__subcmd__share,status)
                cmd="sockowner__subcmd__share__subcmd__status"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        sockowner)
            opts="-t -u -M -l -4 -6 -o -a -n -p -V -h --tcp --udp --mptcp --listening --ipv4 --ipv6 --state --pid --user --unit --container --exe --all-netns --no-owners --columns --sort --csv --jsonl --no-header --all --numeric --processes --source --strict --json --netns --version --help who wait watch status share record"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --unit)
                    COMPREPLY=("${cur}")
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o nospace
                    fi
                    return 0
                    ;;
                --container)
                    COMPREPLY=("${cur}")
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o nospace
                    fi
                    return 0
                    ;;
                --exe)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --columns)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted cmdline owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted cmdline owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                --netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__record)
            opts="-h --source --strict --json --help start run stop status"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__record__subcmd__run)
            opts="-h --group --first-use --tend-only --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --group)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__record__subcmd__start)
            opts="-h --group --first-use --hooks-only --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --group)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__record__subcmd__status)
            opts="-h --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__record__subcmd__stop)
            opts="-h --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__share)
            opts="-h --source --strict --json --help enable disable status"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__share__subcmd__disable)
            opts="-h --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__share__subcmd__enable)
            opts="-h --group --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --group)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__share__subcmd__status)
            opts="-h --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__status)
            opts="-h --source --strict --json --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__wait)
            opts="-h --timeout --source --strict --json --netns --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                --netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__watch)
            opts="-t -u -M -l -4 -6 -o -a -n -p -h --tcp --udp --mptcp --listening --ipv4 --ipv6 --state --pid --user --unit --container --exe --all-netns --no-owners --columns --sort --csv --jsonl --no-header --all --numeric --processes --once --interval --source --strict --json --netns --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --state)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --unit)
                    COMPREPLY=("${cur}")
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o nospace
                    fi
                    return 0
                    ;;
                --container)
                    COMPREPLY=("${cur}")
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o nospace
                    fi
                    return 0
                    ;;
                --exe)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --columns)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted cmdline owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted cmdline owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "proto state local remote user pid process unit protocol family local_address local_port remote_address remote_port netns netns_name interface inode cookie uid cgroup cgroup_id service container start_time start_ticks name comm path path_verified deleted owner_uid owner_user owner_service owner_container exited evidence holders reason creator creator_pid binder binder_pid binder_component listener listener_pid listener_component acceptor acceptor_pid acceptor_component created_at closed_at changed" -- "${cur}"))
                    return 0
                    ;;
                --interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                --netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        sockowner__subcmd__who)
            opts="-h --jsonl --closed --all-netns --source --strict --json --netns --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --source)
                    COMPREPLY=($(compgen -W "auto bpf proc" -- "${cur}"))
                    return 0
                    ;;
                --netns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _sockowner -o nosort -o bashdefault -o default sockowner
else
    complete -F _sockowner -o bashdefault -o default sockowner
fi
