#include "control/cli/cli.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

#include "control/cli/exit.h"

namespace penstock::cli {
namespace {

struct Ran {
  int code;
  std::string out, err;
};

Ran ran(const std::vector<std::string>& arguments, const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out, err;
  const auto nobody = [](const ApiTarget& target) {
    return tl::expected<std::unique_ptr<ApiClient>, ApiError>(
        api_error(ApiFault::kGone, "no node at " + target.address));
  };
  const int code = run(arguments, {in, out, err}, nobody);
  return {code, out.str(), err.str()};
}

// A config file while it lives.
class File {
 public:
  explicit File(const std::string& content)
      : path_(std::filesystem::temp_directory_path() /
              ("penstock_cli_test." + std::to_string(getpid()) + ".toml")) {
    std::ofstream(path_) << content;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(Cli, ExplainsItsExitCodes) {
  const Ran r = ran({"--help"});
  EXPECT_EQ(r.code, 0);
  EXPECT_NE(r.out.find(kExitCodes), std::string::npos) << r.out;
}

TEST(Cli, HasHelpForEveryCommand) {
  for (const char* command :
       {"pub", "sub", "push", "pull", "nodes", "members", "topics", "subscriptions", "lanes",
        "links", "clients", "reload", "show", "top", "bench", "topology", "match", "config"}) {
    const Ran r = ran({command, "--help"});
    EXPECT_EQ(r.code, 0) << command;
    EXPECT_NE(r.out.find("Usage: penstock " + std::string(command)), std::string::npos) << r.out;
  }
}

TEST(Cli, AnswersTwoToWrongUsage) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"pub"},
      {"pub", "t", "--raw", "--file", "f"},
      {"pub", "t", "--count", "many"},
      {"sub", "a", "--timeout", "5"},
      {"sub", "a", "--timeout", "99999999999h"},
      {"sub", "a", "--raw", "--json"},
      {"pull", "a", "--policy", "block"},
      {"sub", "a", "--policy", "lossy"},
      {"sub", "a", "--path", "rdma"},
      {"show", "lnes"},
      {"match", "a"},
      {"bench", "--size", "2GiB"},
      {"config"},
      {"config", "check"},
      {"show", "lanes", "links"},
  };
  for (const auto& arguments : wrong) {
    const Ran r = ran(arguments);
    EXPECT_EQ(r.code, 2) << (arguments.empty() ? "nothing" : arguments[0]) << ": " << r.err;
    EXPECT_TRUE(r.err.starts_with("penstock: ")) << r.err;
    EXPECT_EQ(r.out, "");
  }
}

TEST(Cli, NamesTheNearestCommand) {
  EXPECT_EQ(ran({"shwo", "lanes"}).err,
            "penstock: there is no command shwo, did you mean show?\nSee penstock --help\n");
}

TEST(Cli, AnswersThreeWithoutANode) {
  const std::string socket = "/nonexistent/penstock.sock";
  for (const std::vector<std::string>& command : {std::vector<std::string>{"sub", "a"},
                                                  {"pub", "a"},
                                                  {"show", "lanes"},
                                                  {"top"},
                                                  {"bench"},
                                                  {"nodes"},
                                                  {"reload"},
                                                  {"config", "diff"},
                                                  {"topology"}}) {
    std::vector<std::string> arguments{"--socket", socket};
    arguments.insert(arguments.end(), command.begin(), command.end());
    const Ran r = ran(arguments);
    EXPECT_EQ(r.code, 3) << command[0];
    EXPECT_NE(r.err.find(socket), std::string::npos) << r.err;
  }
}

TEST(Cli, TakesTheSocketBehindTheCommandToo) {
  const Ran r = ran({"show", "lanes", "--socket", "/nonexistent/behind.sock"});
  EXPECT_EQ(r.code, 3);
  EXPECT_NE(r.err.find("/nonexistent/behind.sock"), std::string::npos) << r.err;
}

TEST(Cli, ReadsAFileBeforeItAttaches) {
  const Ran r = ran({"--socket", "/nonexistent/p.sock", "pub", "t", "--file", "/nonexistent/f"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.err, "penstock: /nonexistent/f: No such file or directory\n");
}

TEST(CliMatch, TakesArgumentsOrLines) {
  EXPECT_EQ(ran({"match", "a.#", "a.b"}).out, "1\n");
  EXPECT_EQ(ran({"match", "a.#", "b"}).out, "0\n");
  EXPECT_EQ(ran({"match"}, "a\ta\na\tb\n").out, "1\n0\n");
}

TEST(CliConfig, ChecksAGoodFile) {
  const File file("[node]\nid = 1\n");
  const Ran r = ran({"config", "check", file.path()});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.out, file.path() + ": ok\n");
  EXPECT_EQ(ran({"config", "check", file.path(), "--json"}).out, "[]\n");
}

TEST(CliConfig, TellsWhatIsWrong) {
  const File file("[node]\nid = 1\n[lane]\nrnig = 4\n");
  const Ran r = ran({"config", "check", file.path()});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(r.err, file.path() +
                       ":4: lane.rnig: unknown key (did you mean lane.ring?); allowed "
                       "in lane: ring, arena, topics, max_arena\n");
  const auto json = nlohmann::json::parse(ran({"--json", "config", "check", file.path()}).out);
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["line"], 4);
  EXPECT_EQ(json[0]["key"], "lane.rnig");
}

TEST(CliConfig, PrintsMessagesOfFilesThatAreNoText) {
  const File file("[node]\nid = 1\nname = \"\xff\"\n");
  EXPECT_EQ(ran({"config", "check", file.path()}).code, 1);
  EXPECT_EQ(ran({"config", "check", file.path(), "--json"}).code, 1);
}

TEST(CliConfig, AcceptsItsOwnExample) {
  const File file(ran({"config", "example"}).out);
  const Ran shown = ran({"config", "show", file.path()});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("[lane]\nring = 1024\narena = \"4MiB\"\n"), std::string::npos);
}

}  // namespace
}  // namespace penstock::cli
