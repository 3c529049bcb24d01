#include "control/cli/wait.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace penstock::cli {
namespace {

// A process that holds a socket, and does nothing.
class Holder {
 public:
  explicit Holder(const std::string& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    int up[2];
    EXPECT_EQ(pipe(up), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const int s = socket(AF_UNIX, SOCK_STREAM, 0);
      if (bind(s, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(s, 8) != 0 ||
          write(up[1], "", 1) != 1)
        _exit(1);
      while (true)
        pause();
    }
    close(up[1]);
    char byte = 0;
    EXPECT_EQ(read(up[0], &byte, 1), 1);
    close(up[0]);
  }
  ~Holder() { end(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  void end() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

// Its API is gone once it drains.
class Draining final : public ApiClient {
 public:
  ApiAnswer call(const std::string& name, const std::string&, std::chrono::milliseconds) override {
    if (name == "Drain") return R"({"timeout_ns":1000000})";
    return api_error(ApiFault::kGone, "nobody");
  }
};

TEST(Drain, OfANodeHereReturnsWhenItsProcessHasEnded) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("penstock_wait_test." + std::to_string(getpid()) + ".sock");
  Holder node(path);
  std::atomic<bool> ended = false;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    ended = true;
    node.end();
  });
  std::istringstream in;
  std::ostringstream out, err;
  SteerOptions options;
  options.api.address = path;
  const Exit exit = drain(
      {in, out, err}, [](const ApiTarget&) { return std::make_unique<Draining>(); }, options,
      1'000'000);
  const bool had_ended = ended;
  later.join();
  std::filesystem::remove(path);
  EXPECT_TRUE(had_ended);
  EXPECT_EQ(exit, Exit::kOk);
  EXPECT_EQ(
      out.str(),
      "drained, the node has ended; what was not delivered, if anything, stands in its log\n");
}

}  // namespace
}  // namespace penstock::cli
