#include "drivers/dpdk/peer_door.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "dataplane/base/stop_flag.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr int kPatienceMs = 3000;

int unix_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

sockaddr_un address(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  memcpy(out.sun_path, path.data(), std::min(path.size(), sizeof out.sun_path - 1));
  return out;
}

bool connect_to(int fd, const std::string& path) {
  const sockaddr_un to = address(path);
  return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

bool somebody_listens(const std::string& path) {
  const int fd = unix_socket();
  const bool yes = fd >= 0 && connect_to(fd, path);
  close(fd);
  return yes;
}

// Removes what a dead process left; what is wrong, or an empty string.
std::string clear(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return "";
  if (!S_ISSOCK(found.st_mode)) return "exists and is not a socket; remove it or name another path";
  if (somebody_listens(path)) return "is in use by another process";
  if (unlink(path.c_str()) != 0) return std::string("cannot be removed: ") + strerror(errno);
  return "";
}

}  // namespace

OrSentence<std::unique_ptr<PeerDoor>> PeerDoor::open(const std::string& path) {
  if (const std::string why = clear(path); !why.empty()) return sentence(path + " " + why);
  const int fd = unix_socket();
  const sockaddr_un at = address(path);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
      listen(fd, 1) != 0) {
    const int error = errno;
    close(fd);
    return sentence(path + " cannot be made: " + strerror(error));
  }
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
  return rc;
}

}  // namespace penstock
