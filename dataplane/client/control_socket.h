// ControlSocket: the client's end of the attach socket. Packets and descriptors in, packets out;
// what they mean is Client's business. Never waits but where it says so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/client/attach_protocol.h"

namespace penstock::client {

// One packet from the node. Descriptors that nobody takes are closed with it.
struct Packet {
  alignas(8) std::array<std::byte, attach::kMaxPacket> bytes;
  size_t len = 0;
  std::array<Fd, attach::kMaxDescriptors> fds;
  size_t fd_count = 0;

  const attach::Header& header() const {
    return *reinterpret_cast<const attach::Header*>(bytes.data());
  }
  // The packet as a T, or null when its length is not that of a T.
  template <class T>
  const T* as() const {
    return len == sizeof(T) ? reinterpret_cast<const T*>(bytes.data()) : nullptr;
  }
};

class ControlSocket {
 public:
  // Connects to the node at `path`; waits for it to accept. Failures are told by fail().
  static Result<ControlSocket> connect(const char* path);

  // kBad: a packet that is too short, too long or carries too many descriptors.
  enum class Got : uint8_t { kPacket, kNothing, kGone, kBad };
  Got receive(Packet& packet);

  // Sends, after what is queued; queues what the socket does not take now. A node that is gone
  // shows at the next receive().
  void send(std::span<const std::byte> packet);
  void flush();

  // Waits until there is something to receive (or queued packets can go on). False: time is up.
  bool wait_until(uint64_t deadline_ns);

  // Both sides see the end; the descriptor stays, readable, until this object goes.
  void shut();

  int fd() const { return socket_.get(); }

 private:
  bool send_now(std::span<const std::byte> packet);

  Fd socket_;
  std::deque<std::vector<std::byte>> queue_;
  bool reset_seen_ = false;
};

}  // namespace penstock::client
