// PeerDoor: waits for the first peer of a vhost-user socket that we make.
//
// DPDK's virtio-user in server mode waits inside its probe: without end, and with a lock that any
// other port's probe then spins on. So the door stands where the socket will be, and only when
// somebody has knocked does DPDK get the path, for the moment that the peer needs to come again
// (vhost clients connect again at once when they are put off).
//
//     peer ── connect ──▶ door            wait() may be given up at any time
//     door: unlink, let DPDK listen, then hang up
//     peer ── connect again ──▶ DPDK
#pragma once

#include <memory>
#include <string>

#include "drivers/dpdk/or_sentence.h"

namespace penstock {

class PeerDoor {
 public:
  // Takes the path: nobody may listen there; a socket file that a dead process left is removed.
  static OrSentence<std::unique_ptr<PeerDoor>> open(const std::string& path);

  PeerDoor(const PeerDoor&) = delete;
  PeerDoor& operator=(const PeerDoor&) = delete;
  ~PeerDoor();

  // Waits up to timeout_ms; true when a peer is there and stays for a moment (who only asks whether
  // somebody listens does not).
  bool wait(int timeout_ms);

  // After wait() returned true. Gives the path up and calls listen(argument), which is to listen
  // there until a peer has come; returns what that returned, 0 for success. When no peer comes
  // within seconds we connect ourselves, so that it fails; then open() another door.
  int hand_over(int (*listen)(void*), void* argument);

 private:
  PeerDoor(std::string path, int fd) : path_(std::move(path)), listener_(fd) {}

  std::string path_;
  int listener_ = -1;
  int guest_ = -1;
};

}  // namespace penstock
