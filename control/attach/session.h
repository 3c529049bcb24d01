// Session: one attached client as a socket. Packets in are checked for size here and for sense by
// the node; packets out never block: what the socket does not take waits in a bounded queue, and a
// client that lets it fill up is cut off.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/client/attach_protocol.h"

namespace penstock {

// Who is at the other end, as the kernel says (SO_PEERCRED).
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  // all of them, `gid` too
};

struct Packet {
  alignas(8) std::array<std::byte, attach::kMaxPacket> bytes;
  size_t len = 0;

  const attach::Header& header() const {
    return *reinterpret_cast<const attach::Header*>(bytes.data());
  }
  // The packet as a T, or null when its length is not that of a T.
  template <class T>
  const T* as() const {
    return len == sizeof(T) ? reinterpret_cast<const T*>(bytes.data()) : nullptr;
  }
};

class Session {
 public:
  static constexpr size_t kMaxQueued = 4096;  // packets

  Session(Fd socket, const PeerCredentials& who);

  enum class Receive : uint8_t { kPacket, kEmpty, kGone, kBad };
  // The next packet. Descriptors that a client sends are closed at once: none is ever expected.
  Receive receive(Packet& packet);

  // Sends a packet with duplicates of `fds` (the caller keeps its own). False: the client is cut
  // off, because it does not read or is gone.
  bool send(std::span<const std::byte> packet, std::span<const int> fds = {});
  template <class T>
  bool send(const T& packet, std::initializer_list<int> fds = {}) {
    return send(std::as_bytes(std::span(&packet, 1)), std::span(fds.begin(), fds.size()));
  }
  bool refuse(uint32_t request, uint32_t code, const std::string& text, uint32_t lane = 0);

  // Sends what waits. False as above.
  bool flush();
  bool waiting() const { return !queue_.empty(); }
  // Nothing more can be sent: it left, or it did not read.
  bool cut() const { return cut_; }

  // The process that attached has died, whoever may still hold its socket.
  bool dead() const;

  int fd() const { return socket_.get(); }
  // Readable when the process has died; -1 when the kernel cannot say.
  int pidfd() const { return pidfd_.get(); }
  const PeerCredentials& who() const { return who_; }

 private:
  struct Queued {
    std::vector<std::byte> bytes;
    std::vector<Fd> fds;
  };
  bool send_now(std::span<const std::byte> packet, std::span<const int> fds, bool& full);

  Fd socket_;
  Fd pidfd_;
  PeerCredentials who_;
  std::deque<Queued> queue_;
  bool cut_ = false;
};

}  // namespace penstock
