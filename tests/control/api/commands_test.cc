// penstock's commands over true gRPC, against nodes that know less than they do, or say nothing.
#include <filesystem>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api/client.h"
#include "control/api/control.grpc.pb.h"
#include "control/cli/cli.h"
#include "dataplane/base/fd.h"

namespace penstock::cli {
namespace {

using nlohmann::json;

// One of the first version: all that it knows is itself and its peers, and little of these.
class Older final : public api::v1::Control::Service {
  grpc::Status GetNode(grpc::ServerContext*, const api::v1::Nothing*,
                       api::v1::Node* answer) override {
    answer->set_id(7);
    return grpc::Status::OK;
  }
  grpc::Status ListNodes(grpc::ServerContext*, const api::v1::Nothing*,
                         api::v1::Nodes* answer) override {
    answer->add_nodes()->set_id(7);
    return grpc::Status::OK;
  }
};

struct Ran {
  int code;
  std::string out, err;
};

class Commands : public ::testing::Test {
 protected:
  Commands() {
    address_.sun_family = AF_UNIX;
    path.copy(address_.sun_path, sizeof address_.sun_path - 1);
  }
  ~Commands() override { std::filesystem::remove(path); }

  Ran ran(std::vector<std::string> arguments) {
    std::istringstream in;
    std::ostringstream out, err;
    arguments.insert(arguments.begin(), {"--api", path});
    const int code = run(arguments, {in, out, err}, open_api);
    return {code, out.str(), err.str()};
  }

  const std::string path = std::filesystem::temp_directory_path() /
                           ("penstock_commands_test." + std::to_string(getpid()) + ".sock");
  sockaddr_un address_{};
};

TEST_F(Commands, OfCallsThatAnOlderNodeLacksSaySoAndEndWithOne) {
  Older node;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&node);
  const auto server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const std::vector<std::vector<std::string>> commands = {{"members"},
                                                          {"members", "remove", "2"},
                                                          {"topics"},
                                                          {"subscriptions"},
                                                          {"lanes"},
                                                          {"links"},
                                                          {"clients"},
                                                          {"clients", "--json"},
                                                          {"reload"},
                                                          {"config", "diff"},
                                                          {"config", "show"},
                                                          {"health"},
                                                          {"health", "--exit-when-healthy"},
                                                          {"events", "--follow"},
                                                          {"drain"}};
  for (const auto& command : commands) {
    const Ran r = ran(command);
    EXPECT_EQ(r.code, 1) << command.front();
    EXPECT_EQ(r.out, "") << command.front();
    EXPECT_EQ(r.err, "penstock: the node at " + path +
                         " does not know this call: it is of another version than this penstock; "
                         "`penstock show node` tells which\n")
        << command.front();
  }
  // What it does know works, and what it does not say is empty.
  const Ran nodes = ran({"nodes"});
  EXPECT_EQ(nodes.code, 0) << nodes.err;
  EXPECT_EQ(nodes.out, "NODE\n   7\n");
  EXPECT_EQ(json::parse(ran({"nodes", "--json"}).out)["nodes"][0]["version"], "");
  server->Shutdown();
}

TEST_F(Commands, ToANodeThatTakesNoCallEndWithFour) {
  // The kernel takes the connection, and nobody ever reads it: a process that is stopped.
  const Fd stopped(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(stopped.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
  ASSERT_EQ(listen(stopped.get(), 128), 0);
  const std::vector<std::vector<std::string>> commands = {{"nodes"},
                                                          {"members", "remove", "2"},
                                                          {"reload"},
                                                          {"config", "diff"},
                                                          {"health"},
                                                          {"health", "--exit-when-healthy"},
                                                          {"events", "--raised"}};
  for (auto command : commands) {
    command.insert(command.end(), {"--timeout", "50ms"});
    const Ran r = ran(command);
    EXPECT_EQ(r.code, 4) << command.front();
    EXPECT_EQ(r.out, "") << command.front();
    const std::string sentence = "penstock: the node at " + path + " did not answer within ";
    EXPECT_EQ(r.err.substr(0, sentence.size()), sentence) << command.front();
    EXPECT_NE(r.err.find(" ms: it hangs, or is stopped; look at its log"), std::string::npos)
        << r.err;
  }
}

TEST_F(Commands, WithoutANodeEndWithThree) {
  for (const auto& command : {std::vector<std::string>{"nodes"}, {"reload"}, {"drain"}}) {
    const Ran r = ran(command);
    EXPECT_EQ(r.code, 3) << command.front();
    EXPECT_EQ(r.err, "penstock: no node answers at " + path +
                         " (No such file or directory): start penstockd, or name its socket with "
                         "--socket or --api\n");
  }
}

}  // namespace
}  // namespace penstock::cli
