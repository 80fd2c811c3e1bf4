// Prints this machine's TCP listeners over IPv4 with the module that owns each, through the C ABI. Fails unless a
// listener of its own is among them, with the path that /proc/self/exe has.
#include <sockowner/iphlpapi.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

/// What `call(buffer, size)` fills, or the code for which it does not.
template <typename Call>
std::pair<DWORD, std::vector<std::byte>> filled(Call call) {
    std::vector<std::byte> buffer;
    DWORD size = 0, code;
    while ((code = call(buffer.empty() ? nullptr : buffer.data(), &size)) == ERROR_INSUFFICIENT_BUFFER)
        buffer.resize(size);
    buffer.resize(code == NO_ERROR ? size : 0);
    return {code, std::move(buffer)};
}

std::vector<MIB_TCPROW_OWNER_MODULE> listeners() {
    const auto [code, buffer] = filled([](void *to, DWORD *size) {
        return GetExtendedTcpTable(to, size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0);
    });
    if (code != NO_ERROR)
        throw std::runtime_error("GetExtendedTcpTable: " + std::to_string(code));
    const auto *table = reinterpret_cast<const MIB_TCPTABLE_OWNER_MODULE *>(buffer.data());
    return {table->table, table->table + table->dwNumEntries};
}

/// A path of its UTF-16, which std::filesystem converts.
struct Module {
    std::filesystem::path name, path;
};

std::optional<Module> module_of(MIB_TCPROW_OWNER_MODULE row) {
    const auto [code, buffer] = filled([&row](void *to, DWORD *size) {
        return GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, to, size);
    });
    if (code == ERROR_NOT_FOUND || code == ERROR_PARTIAL_COPY)
        return std::nullopt;
    if (code != NO_ERROR)
        throw std::runtime_error("GetOwnerModuleFromTcpEntry: " + std::to_string(code));
    const auto *info = reinterpret_cast<const TCPIP_OWNER_MODULE_BASIC_INFO *>(buffer.data());
    return Module{std::u16string(info->pModuleName), std::u16string(info->pModulePath)};
}

/// A listener on loopback; its port in network byte order, as rows have it.
class Listener {
public:
    Listener() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address_;
        auto *any = reinterpret_cast<sockaddr *>(&address_);
        if (bind(socket_, any, length) != 0 || listen(socket_, 1) != 0 || getsockname(socket_, any, &length) != 0)
            throw std::runtime_error("listen");
    }
    ~Listener() { close(socket_); }
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;

    bool is(const MIB_TCPROW_OWNER_MODULE &row) const {
        return row.dwLocalAddr == address_.sin_addr.s_addr && row.dwLocalPort == address_.sin_port;
    }

private:
    int socket_;
    sockaddr_in address_{};
};

} // namespace

int main() try {
    const Listener own;
    const auto path = std::filesystem::read_symlink("/proc/self/exe");
    int found = 0;
    for (const auto &row : listeners()) {
        const auto module = module_of(row);
        const in_addr address{row.dwLocalAddr};
        std::cout << inet_ntoa(address) << ':' << ntohs(static_cast<std::uint16_t>(row.dwLocalPort)) << " pid "
                  << row.dwOwningPid << ' ' << (module ? module->path.string() : "-") << '\n';
        if (own.is(row))
            found += row.dwOwningPid == static_cast<DWORD>(getpid()) && module && module->path == path &&
                     module->name == path.filename();
    }
    if (found == 1)
        return 0;
    std::cerr << "its own listener is not there\n";
    return 1;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
