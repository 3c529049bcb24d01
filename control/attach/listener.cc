#include "control/attach/listener.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace penstock {
namespace {

Fd new_socket() {
  return Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool somebody_answers(const sockaddr_un& address) {
  const Fd probe = new_socket();
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

// All groups of who connected, as they were then.
std::vector<gid_t> groups_of(int socket, gid_t first) {
  std::vector<gid_t> groups(32);
  for (;;) {
    auto len = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int got = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &len);
    groups.resize(len / sizeof(gid_t));
    if (got == 0 || errno != ERANGE) {
      if (got != 0) groups.clear();
      groups.push_back(first);
      return groups;
    }
  }
}

std::string why() {
  return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): one thread at start
}

}  // namespace

tl::expected<Listener, std::string> Listener::open(const Options& options) {
  const auto fail = [&](const std::string& text) {
    return tl::unexpected(fmt::format("attach socket {}: {}", options.path, text));
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.path.empty() || options.path.size() >= sizeof address.sun_path)
    return fail(fmt::format("the path must have 1 to {} bytes", sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, options.path.data(), options.path.size());

  // A fresh machine has no /run/penstock. What is there keeps its rights.
  std::error_code ignored;  // bind() says what is wrong
  std::filesystem::create_directories(std::filesystem::path(options.path).parent_path(), ignored);
  struct stat st {};
  if (lstat(options.path.c_str(), &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) return fail("exists and is no socket; remove it or choose another");
    if (somebody_answers(address))
      return fail("in use: another node runs there; stop it or set node.socket");
    unlink(options.path.c_str());
  }
  Fd socket = new_socket();
  if (!socket) return fail(why());
  // Nobody may connect before group and mode are set.
  const mode_t before = umask(0777);
  const int bound = bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  umask(before);
  if (bound != 0) {
    return fail(why() + "; may this user write there?");
  }
  Listener listener(std::move(socket), options.path);
  if (!options.group.empty()) {
    const group* g = getgrnam(options.group.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (g == nullptr) return fail("no group named '" + options.group + "' (node.socket_group)");
    if (chown(options.path.c_str(), static_cast<uid_t>(-1), g->gr_gid) != 0) return fail(why());
  }
  if (chmod(options.path.c_str(), options.mode) != 0) return fail(why());
  if (listen(listener.fd(), 128) != 0) return fail(why());
  return listener;
}

Listener::~Listener() {
  if (socket_) unlink(path_.c_str());
}

std::unique_ptr<Session> Listener::accept() {
  Fd client(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client) return nullptr;
  ucred who{};
  socklen_t len = sizeof who;
  if (getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) return nullptr;
  auto groups = groups_of(client.get(), who.gid);
  return std::make_unique<Session>(std::move(client),
                                   PeerCredentials{who.pid, who.uid, who.gid, std::move(groups)});
}

}  // namespace penstock
