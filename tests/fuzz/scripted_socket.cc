// The client's control socket, joined to a ScriptedNode: takes the place of
// dataplane/client/control_socket.cc in a fuzzer. Nothing waits, nothing leaves the process.
#include "dataplane/client/control_socket.h"
#include "tests/fuzz/scripted_node.h"

namespace penstock::client {

using test::ScriptedNode;

Result<ControlSocket> ControlSocket::connect(const char* /*path*/) {
  ControlSocket s;
  s.socket_ = Fd(*make_event());
  return s;
}

ControlSocket::Got ControlSocket::receive(Packet& packet) {
  const Got got = ScriptedNode::current->say(packet);
  reset_seen_ = got == Got::kGone;
  return got;
}

bool ControlSocket::send_now(std::span<const std::byte> packet) {
  ScriptedNode::current->heard(packet);
  return true;
}

void ControlSocket::send(std::span<const std::byte> packet) {
  (void)send_now(packet);
}

void ControlSocket::flush() {}

bool ControlSocket::wait_until(uint64_t /*deadline_ns*/) {
  return ScriptedNode::current->more();
}

void ControlSocket::shut() {}

}  // namespace penstock::client
