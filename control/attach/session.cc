#include "control/attach/session.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5; older headers do not name it
#endif

namespace penstock {
namespace {

// Names the process itself, not its number, so a number that was reused cannot mislead.
Fd open_pidfd(int socket, pid_t pid) {
  int fd = -1;
  socklen_t len = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0) return Fd(fd);
  return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

void close_received(const msghdr& msg) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&msg), c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      close(fd);
    }
  }
}

}  // namespace

Session::Session(Fd socket, const PeerCredentials& who)
    : socket_(std::move(socket)), pidfd_(open_pidfd(socket_.get(), who.pid)), who_(who) {}

Session::Receive Session::receive(Packet& packet) {
  alignas(cmsghdr) char control[CMSG_SPACE(attach::kMaxDescriptors * sizeof(int))];
  iovec io{packet.bytes.data(), packet.bytes.size()};
  msghdr msg{};
  msg.msg_iov = &io;
  msg.msg_iovlen = 1;
  msg.msg_control = control;
  msg.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(socket_.get(), &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return Receive::kEmpty;
    return Receive::kGone;
  }
  close_received(msg);
  if (n == 0) return Receive::kGone;
  packet.len = static_cast<size_t>(n);
  if ((msg.msg_flags & MSG_TRUNC) != 0 || packet.len < sizeof(attach::Header)) return Receive::kBad;
  return Receive::kPacket;
}

bool Session::send(std::span<const std::byte> packet, std::span<const int> fds) {
  if (cut_) return false;
  bool full = false;
  if (queue_.empty() && send_now(packet, fds, full)) return true;
  if (cut_) return false;
  if (queue_.size() >= kMaxQueued) {
    cut_ = true;
    return false;
  }
  Queued q;
  q.bytes.assign(packet.begin(), packet.end());
  for (const int fd : fds)
    q.fds.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  queue_.push_back(std::move(q));
  return true;
}

bool Session::dead() const {
  if (!pidfd_) return false;
  pollfd p{pidfd_.get(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

bool Session::refuse(uint32_t request, uint32_t code, const std::string& text, uint32_t lane) {
  attach::Error e;
  e.header.request = request;
  e.code = code;
  e.lane = lane;
  std::memcpy(e.text, text.data(), std::min(text.size(), sizeof e.text - 1));
  return send(e);
}

bool Session::flush() {
  while (!cut_ && !queue_.empty()) {
    std::vector<int> fds;
    for (const Fd& f : queue_.front().fds)
      fds.push_back(f.get());
    bool full = false;
    if (!send_now(queue_.front().bytes, fds, full)) return !cut_;
    queue_.pop_front();
  }
  return !cut_;
}

// False with `full`: try again later. False without: the client is gone.
bool Session::send_now(std::span<const std::byte> packet, std::span<const int> fds, bool& full) {
  alignas(cmsghdr) char control[CMSG_SPACE(attach::kMaxDescriptors * sizeof(int))];
  iovec io{const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr msg{};
  msg.msg_iov = &io;
  msg.msg_iovlen = 1;
  if (!fds.empty()) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  if (sendmsg(socket_.get(), &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
  full = errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS;
  if (!full) cut_ = true;
  return false;
}

}  // namespace penstock
