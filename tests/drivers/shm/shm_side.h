// A device of shared memory with a memory file of its own, and another process that has one, too.
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "drivers/shm/shm_fabric.h"

namespace penstock::test {

inline constexpr uint64_t kShmSide = 4 << 20;

// Aborts where it cannot be: a child has no other way to fail a test.
inline void must(bool holds) {
  if (!holds) std::abort();
}

struct ShmSide {
  explicit ShmSide(const ShmFabricConfig& config = {}, uint32_t rights = kRemotePut | kRemoteGet) {
    auto opened = ShmFabric::open(config);
    must(opened.ok());
    fabric = std::move(*opened);
    auto file = SealedMemory::create("penstock-test", kShmSide);
    must(file.ok());
    auto mapped = file->map(Access::kReadWrite);
    must(mapped.ok());
    map = std::move(*mapped);
    must(fabric->add_memory(file->fd(), map.data(), kShmSide, Access::kReadWrite) == Errc::kOk);
    auto r = fabric->register_memory(map.data(), kShmSide, rights);
    must(r.ok());
    registration = *r;
    make_end();
  }

  void make_end() {
    end.reset();
    auto e = fabric->create_endpoint();
    must(e.ok());
    end = std::move(*e);
  }

  void turn() {
    (void)fabric->events({});
    std::array<FabricCompletion, 64> c;
    std::array<FabricImmediate, 64> i;
    const Fabric::Polled n = fabric->poll(c, i);
    done.insert(done.end(), c.begin(), c.begin() + static_cast<ptrdiff_t>(n.completions));
    landed.insert(landed.end(), i.begin(), i.begin() + static_cast<ptrdiff_t>(n.immediates));
    sched_yield();
  }
  // False: it should have happened long ago.
  template <class Until>
  [[nodiscard]] bool wait(Until until) {
    const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (; !until(); turn())
      if (std::chrono::steady_clock::now() > late) return false;
    return true;
  }

  FabricRequest request(FabricOp op, uint64_t at, uint32_t bytes, const RemoteRegion& there) {
    FabricRequest r;
    r.op = op;
    r.signalled = true;
    r.local = map.data() + at;
    r.bytes = bytes;
    r.local_key = registration.local_key;
    r.remote_address = there.address + at;
    r.remote_key = there.key;
    r.id = next_id++;
    return r;
  }
  bool post(const FabricRequest& r) { return end->post({&r, 1}) == 1; }

  std::unique_ptr<ShmFabric> fabric;
  Mapping map;
  Registration registration;
  std::unique_ptr<Endpoint> end;
  std::vector<FabricCompletion> done;
  std::vector<FabricImmediate> landed;
  uint64_t next_id = 1;
};

// What two sides tell each other first.
struct Card {
  EndpointAddress address{};
  RemoteRegion region{};
};
inline Card card(const ShmSide& s) {
  return {s.end->address(), remote_region(s.registration)};
}

// A child process; it is killed and waited for when this goes.
class Child {
 public:
  template <class Run>
  explicit Child(Run run) {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    pid_ = fork();
    must(pid_ >= 0);
    if (pid_ == 0) {
      close(pair[0]);
      run(pair[1]);
      _exit(0);
    }
    close(pair[1]);
    fd_ = Fd(pair[0]);
  }
  ~Child() { (void)kill(); }

  int fd() const { return fd_.get(); }
  // How it ended: 0, or the signal.
  int kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    return wait();
  }
  int wait() {
    if (pid_ <= 0) return 0;
    int status = 0;
    must(waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_ = -1;
  Fd fd_;
};

template <class T>
void tell(int fd, const T& what) {
  must(write(fd, &what, sizeof what) == static_cast<ssize_t>(sizeof what));
}
template <class T>
T hear(int fd) {
  T what{};
  must(read(fd, &what, sizeof what) == static_cast<ssize_t>(sizeof what));
  return what;
}

// Both sides call it; whose end is new connects it to the peer's.
inline Card meet(ShmSide& side, int fd) {
  tell(fd, card(side));
  const Card peer = hear<Card>(fd);
  must(side.end->connect(peer.address) == Errc::kOk);
  return peer;
}

}  // namespace penstock::test
