#include "drivers/shm/shm_socket.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "drivers/shm/shm_layout.h"

namespace penstock {
namespace {

constexpr int kKind = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
constexpr int kWaiting = 64;

socklen_t name_of(uint64_t device, sockaddr_un& a) {
  a = {};
  a.sun_family = AF_UNIX;
  const int n = std::snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "penstock-shm-%016llx",
                              static_cast<unsigned long long>(device));
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(n));
}

bool same_user(int socket) {
  ucred who{};
  socklen_t n = sizeof who;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid();
}

}  // namespace

Result<Fd> shm_listen(uint64_t device) {
  Fd s(socket(AF_UNIX, kKind, 0));
  if (!s) return Errc::kSystem;
  sockaddr_un a;
  const socklen_t n = name_of(device, a);
  if (bind(s.get(), reinterpret_cast<sockaddr*>(&a), n) != 0 || listen(s.get(), kWaiting) != 0)
    return errno == EADDRINUSE ? Errc::kBusy : Errc::kSystem;
  return s;
}

Result<Fd> shm_connect(uint64_t device) {
  Fd s(socket(AF_UNIX, kKind, 0));
  if (!s) return Errc::kSystem;
  sockaddr_un a;
  const socklen_t n = name_of(device, a);
  if (connect(s.get(), reinterpret_cast<sockaddr*>(&a), n) != 0) {
    if (errno == EAGAIN) return Errc::kBusy;
    return errno == ECONNREFUSED ? Errc::kClosed : Errc::kSystem;
  }
  if (!same_user(s.get())) return Errc::kDenied;
  return s;
}

Result<Fd> shm_accept(int listener) {
  Fd s(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!s) return Errc::kWouldBlock;
  if (!same_user(s.get())) return Errc::kDenied;
  return s;
}

Errc shm_send(int socket, const ShmMessage& message, int fd) {
  ShmMessage m = message;
  m.magic = kShmMagic;
  iovec part{&m, sizeof m};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof fd)]{};
  msghdr h{};
  h.msg_iov = &part;
  h.msg_iovlen = 1;
  if (fd >= 0) {
    h.msg_control = room;
    h.msg_controllen = sizeof room;
    cmsghdr* c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  if (sendmsg(socket, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof m))
    return Errc::kOk;
  return errno == EAGAIN || errno == ETOOMANYREFS ? Errc::kWouldBlock : Errc::kClosed;
}

Errc shm_receive(int socket, ShmMessage& message, Fd& fd) {
  iovec part{&message, sizeof message};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))]{};
  msghdr h{};
  h.msg_iov = &part;
  h.msg_iovlen = 1;
  h.msg_control = room;
  h.msg_controllen = sizeof room;
  const ssize_t n = recvmsg(socket, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Errc::kWouldBlock : Errc::kClosed;
  if (n == 0) return Errc::kClosed;
  fd.reset();
  // There may be room for one more than was asked for: whatever came is closed by somebody.
  for (cmsghdr* c = CMSG_FIRSTHDR(&h); c != nullptr; c = CMSG_NXTHDR(&h, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int came = -1;
      std::memcpy(&came, CMSG_DATA(c) + at, sizeof came);
      fd = Fd(came);
    }
  }
  const bool whole = n == static_cast<ssize_t>(sizeof message) && (h.msg_flags & MSG_CTRUNC) == 0;
  return whole && message.magic == kShmMagic ? Errc::kOk : Errc::kInvalid;
}

bool shm_hung_up(int socket) {
  pollfd p{.fd = socket, .events = POLLRDHUP, .revents = 0};
  return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool shm_speaks(int socket) {
  pollfd p{.fd = socket, .events = POLLIN, .revents = 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

}  // namespace penstock
