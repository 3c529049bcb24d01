#include "drivers/dpdk/peer_door.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "dataplane/base/stop_flag.h"
#include "drivers/dpdk/socket_path.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr int kPatienceMs = 3000;
constexpr int kMomentMs = 20;

bool hangs_up_at_once(int guest) {
  pollfd p{.fd = guest, .events = POLLRDHUP, .revents = 0};
  return poll(&p, 1, kMomentMs) != 0;
}

}  // namespace

OrSentence<std::unique_ptr<PeerDoor>> PeerDoor::open(const std::string& path) {
  if (const std::string why = clear_socket_path(path); !why.empty())
    return sentence(path + " " + why);
  const int fd = listen_at(path);
  if (fd < 0) return sentence(path + " cannot be made: " + strerror(errno));
  return std::unique_ptr<PeerDoor>(new PeerDoor(path, fd));
}

PeerDoor::~PeerDoor() {
  if (listener_ >= 0) {
    close(listener_);
    unlink(path_.c_str());
  }
  if (guest_ >= 0) close(guest_);
}

bool PeerDoor::wait(int timeout_ms) {
  pollfd p{.fd = listener_, .events = POLLIN, .revents = 0};
  if (poll(&p, 1, timeout_ms) <= 0) return false;
  guest_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (guest_ >= 0 && hangs_up_at_once(guest_)) {
    close(guest_);
    guest_ = -1;
  }
  return guest_ >= 0;
}

int PeerDoor::hand_over(int (*listen)(void*), void* argument) {
  close(listener_);
  listener_ = -1;
  unlink(path_.c_str());
  StopFlag done;
  std::thread usher([this, &done] {
    // Hang up once somebody listens again: the guest comes back at once.
    struct stat found {};
    int waited_ms = 0;
    for (; !done.is_set() && waited_ms < kPatienceMs; waited_ms++) {
      if (lstat(path_.c_str(), &found) == 0) break;
      std::this_thread::sleep_for(milliseconds(1));
    }
    std::this_thread::sleep_for(milliseconds(10));  // bind() is there, listen() soon
    close(guest_);
    guest_ = -1;
    for (; !done.is_set() && waited_ms < kPatienceMs; waited_ms++) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    if (!done.is_set()) somebody_listens(path_);  // nobody came: make the wait end
  });
  const int rc = listen(argument);
  done.set();
  usher.join();
  if (rc != 0) close_sockets_at(path_);  // a probe of DPDK 22.11 that fails leaves them open
  return rc;
}

}  // namespace penstock
