#include "dataplane/client/control_socket.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dataplane/base/clock.h"
#include "dataplane/client/last_error.h"

namespace penstock::client {
namespace {

constexpr time_t kConnectSeconds = 30;

void take_descriptors(msghdr& msg, Packet& packet) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      Fd owned(fd);
      if (packet.fd_count < packet.fds.size()) packet.fds[packet.fd_count++] = std::move(owned);
    }
  }
}

Errc connect_failed(const char* path, int error) {
  switch (error) {
    case ENOENT:
    case ECONNREFUSED:
      return fail(Errc::kNotFound,
                  "no node answers at %s: start penstockd, or name its socket in PENSTOCK_SOCKET",
                  path);
    case EACCES:
    case EPERM:
      return fail(Errc::kDenied, "no permission to connect to %s: join the group that owns it",
                  path);
    case EPROTOTYPE:
      return fail(Errc::kNotFound, "%s is a socket, but not of a node", path);
    case EAGAIN:  // kConnectSeconds are over
      return fail(Errc::kTimeout,
                  "the node at %s took nobody in within 30 s: it hangs, or is stopped; look at its "
                  "log",
                  path);
    default:
      return fail(Errc::kSystem, "cannot connect to %s: %s", path, strerrordesc_np(error));
  }
}

}  // namespace

Result<ControlSocket> ControlSocket::connect(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t len = std::strlen(path);
  if (len == 0 || len >= sizeof address.sun_path)
    return fail(Errc::kInvalid, "a socket's path has 1 to %zu bytes, not %zu",
                sizeof address.sun_path - 1, len);
  std::memcpy(address.sun_path, path, len);
  ControlSocket s;
  s.socket_ = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!s.socket_) return fail(Errc::kSystem, "cannot make a socket: %s", strerrordesc_np(errno));
  const timeval limit{kConnectSeconds, 0};  // for a node whose backlog is full
  setsockopt(s.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(s.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return connect_failed(path, errno);
  return s;
}

ControlSocket::Got ControlSocket::receive(Packet& packet) {
  for (size_t i = 0; i < packet.fd_count; i++)
    packet.fds[i].reset();
  packet.len = packet.fd_count = 0;
  alignas(cmsghdr) char control[CMSG_SPACE(attach::kMaxDescriptors * sizeof(int))];
  iovec io{packet.bytes.data(), packet.bytes.size()};
  msghdr msg{};
  msg.msg_iov = &io;
  msg.msg_iovlen = 1;
  for (;;) {
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket_.get(), &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0) {
      take_descriptors(msg, packet);
      packet.len = static_cast<size_t>(n);
      const bool cut = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
      return cut || packet.len < sizeof(attach::Header) ? Got::kBad : Got::kPacket;
    }
    if (n == 0) return Got::kGone;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Got::kNothing;
    // The kernel tells of a reset before it gives what came before it.
    if (errno != ECONNRESET || reset_seen_) return Got::kGone;
    reset_seen_ = true;
  }
}

bool ControlSocket::send_now(std::span<const std::byte> packet) {
  ssize_t n = 0;
  do {
    n = ::send(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

void ControlSocket::send(std::span<const std::byte> packet) {
  flush();
  if (queue_.empty() && send_now(packet)) return;
  queue_.emplace_back(packet.begin(), packet.end());
}

void ControlSocket::flush() {
  while (!queue_.empty() && send_now(queue_.front()))
    queue_.pop_front();
}

bool ControlSocket::wait_until(uint64_t deadline_ns) {
  const uint64_t now = Clock::raw_ns();
  if (now >= deadline_ns) return false;
  const uint64_t left = deadline_ns - now;
  const timespec limit{static_cast<time_t>(left / 1'000'000'000),
                       static_cast<long>(left % 1'000'000'000)};
  pollfd p{socket_.get(), POLLIN, 0};
  if (!queue_.empty()) p.events |= POLLOUT;
  ppoll(&p, 1, &limit, nullptr);
  return true;
}

void ControlSocket::shut() {
  shutdown(socket_.get(), SHUT_RDWR);
  queue_.clear();
}

}  // namespace penstock::client
