// A network namespace of the test's own: its interfaces are gone when it is.
#pragma once

#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <unistd.h>

namespace penstock {

// The calling thread lives in it until the object ends.
class Namespace {
 public:
  Namespace() : before_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    entered_ = before_ >= 0 && unshare(CLONE_NEWNET) == 0;
  }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace() {
    if (entered_ && setns(before_, CLONE_NEWNET) != 0) abort();
    close(before_);
  }

  bool entered() const { return entered_; }

  // "ip ARGUMENTS", silently.
  bool ip(const std::string& arguments) const {
    return system(("ip " + arguments + " >/dev/null 2>&1").c_str()) == 0;
  }

  // Two interfaces joined by a wire, both up.
  bool wire(const std::string& a, const std::string& b, unsigned mtu) const {
    const std::string size = " mtu " + std::to_string(mtu);
    return ip("link add " + a + size + " type veth peer name " + b + size) &&
           ip("link set " + a + " up") && ip("link set " + b + " up");
  }

 private:
  int before_;
  bool entered_ = false;
};

}  // namespace penstock
