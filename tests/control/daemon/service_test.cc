#include "control/daemon/service.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "dataplane/base/fd.h"

namespace penstock {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// The service manager's end of the socket that NOTIFY_SOCKET names.
class Manager {
 public:
  Manager() : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path_.copy(at.sun_path, sizeof at.sun_path - 1);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0)
        << std::strerror(errno);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    std::filesystem::remove(path_);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // What has come since the last time.
  std::vector<std::string> heard() {
    std::vector<std::string> all;
    char text[256];
    for (ssize_t n; (n = recv(socket_.get(), text, sizeof text, 0)) >= 0;)
      all.emplace_back(text, static_cast<size_t>(n));
    return all;
  }

 private:
  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("penstock_service_test." + std::to_string(getpid()) + ".sock");
  Fd socket_;
};

TEST(Service, AsksForMoreTimeAgainAndAgainWhileTheNodeDrains) {
  Manager manager;
  Service service;
  service.stopping();
  const uint64_t start = 1000 * kSecond;
  uint64_t asked = 0, granted_until = start + 90 * kSecond;  // as TimeoutStopSec has it
  for (uint64_t now = start; now < start + 600 * kSecond; now += kSecond / 20) {
    ASSERT_LT(now, granted_until);
    service.draining(now);
    for (const std::string& text : manager.heard()) {
      if (text == "STOPPING=1\nSTATUS=stopping") continue;
      ASSERT_EQ(text, "EXTEND_TIMEOUT_USEC=30000000");
      granted_until = now + 30 * kSecond;
      asked++;
    }
  }
  EXPECT_EQ(asked, 120);  // every 5 s, not at every turn
}

TEST(Service, SaysItsStatesInTheManagersWords) {
  Manager manager;
  Service service;
  service.ready("node 1");
  service.reloading();
  service.reloaded();
  service.stopping();
  EXPECT_EQ(manager.heard(), (std::vector<std::string>{"READY=1\nSTATUS=node 1", "RELOADING=1",
                                                       "READY=1", "STOPPING=1\nSTATUS=stopping"}));
}

}  // namespace
}  // namespace penstock
