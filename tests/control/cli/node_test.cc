#include "control/cli/node.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/client/attach_protocol.h"

namespace penstock::cli {
namespace {

// A node that turns its one client down, or hangs up without a word.
class Unwilling {
 public:
  explicit Unwilling(std::optional<Errc> why) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(listen(socket_.get(), 8), 0);
    thread_ = std::thread([this, why] {
      const Fd client(accept(socket_.get(), nullptr, nullptr));
      attach::Hello hello;
      EXPECT_EQ(recv(client.get(), &hello, sizeof hello, 0), ssize_t{sizeof hello});
      if (!why) return;
      attach::Error answer;
      answer.header.request = hello.header.request;
      answer.code = static_cast<uint32_t>(*why);
      std::string("because").copy(answer.text, sizeof answer.text - 1);
      EXPECT_EQ(send(client.get(), &answer, sizeof answer, 0), ssize_t{sizeof answer});
    });
  }
  ~Unwilling() {
    thread_.join();
    std::filesystem::remove(path);
  }
  Unwilling(const Unwilling&) = delete;
  Unwilling& operator=(const Unwilling&) = delete;

  const std::string path = std::filesystem::temp_directory_path() /
                           ("penstock_node_test." + std::to_string(getpid()) + ".sock");

 private:
  Fd socket_{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  std::thread thread_;
};

std::pair<Exit, std::string> failure_at(const std::string& path) {
  try {
    (void)attach(path, "test");
  } catch (const Failure& failure) {
    return {failure.code, failure.what()};
  }
  return {Exit::kOk, ""};
}

TEST(Attach, EndsWithTheCodeOfWhatTheNodeSays) {
  using End = std::pair<Exit, std::string>;
  const std::pair<Errc, Exit> codes[] = {
      {Errc::kVersion, Exit::kFailed},  // it is older, or newer
      {Errc::kDenied, Exit::kFailed},   {Errc::kFull, Exit::kFailed},
      {Errc::kNoMemory, Exit::kFailed}, {Errc::kClosed, Exit::kNoNode},  // it is about to stop
  };
  for (const auto& [why, exit] : codes) {
    const Unwilling node(why);
    EXPECT_EQ(failure_at(node.path), End(exit, "because")) << text(why);
  }
  const Unwilling node(std::nullopt);
  EXPECT_EQ(failure_at(node.path), End(Exit::kNoNode, "the node went away"));
}

TEST(Attach, WithoutANodeNamesTheSocketAndTheRemedy) {
  EXPECT_EQ(failure_at("/nonexistent/p.sock"),
            std::pair(Exit::kNoNode,
                      std::string("no node answers at /nonexistent/p.sock: start penstockd, or "
                                  "name its socket in PENSTOCK_SOCKET")));
}

}  // namespace
}  // namespace penstock::cli
