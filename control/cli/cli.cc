#include "control/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <optional>

#include "control/cli/bench.h"
#include "control/cli/config_command.h"
#include "control/cli/exit.h"
#include "control/cli/host_commands.h"
#include "control/cli/match.h"
#include "control/cli/receive.h"
#include "control/cli/send.h"
#include "control/cli/show_command.h"
#include "control/cli/steer_commands.h"
#include "control/cli/top.h"
#include "control/config/nearest.h"
#include "control/config/units.h"

namespace penstock::cli {

namespace {

constexpr const char* kAbout =
    "penstock: talk to the messaging node of this host, penstockd.\n\n"
    "A topic is words joined by dots, grad.layer3.w; in a filter * stands for one word and\n"
    "# for any number of words. pub sends to every matching sub, push to one matching pull.";

constexpr const char* kExamples =
    "Examples:\n"
    "  penstock sub 'grad.#' --json             follow a topic and all below it\n"
    "  seq 5 | penstock pub grad.layer3.w       five messages, a line each\n"
    "  penstock pub model --file weights.bin    a file as one message\n"
    "  penstock pull jobs --count 1             take one job, then end\n"
    "  penstock show lanes --watch              sent = delivered + dropped + in flight\n"
    "  penstock nodes --watch                   who is there, and are the links up?\n"
    "  penstock subscriptions grad.layer3.w     who would get it\n"
    "  penstock config check penstockd.toml     before a restart\n\n";

// Everything that the arguments can set, and the command that they chose.
class Program {
 public:
  Program(const Io& io, OpenApi open)
      : io_(io),
        app_(kAbout, "penstock"),
        steer_(io, std::move(open), socket_, json_,
               [this](std::function<Exit()> command) { command_ = std::move(command); }) {
    app_.require_subcommand(1);
    app_.fallthrough();  // --socket and --json may stand behind the command too
    app_.set_version_flag("--version", PROGRAM_VERSION);
    app_.add_option("--socket", socket_,
                    "socket of the node; /run/penstock/penstock.sock if not given")
        ->envname("PENSTOCK_SOCKET");
    app_.add_flag("--json", json_, "print JSON, for programs");
    add_send("pub", false, "send lines or a file to every subscriber of a topic");
    add_receive("sub", false, "print the messages that match a filter");
    add_send("push", true, "send lines or a file, each to one puller");
    add_receive("pull", true, "take messages as one of the pullers of a filter");
    steer_.add_to(app_);
    add_show();
    add_top();
    add_bench();
    add_topology();
    add_match();
    add_config();
    host_.emplace(
        app_, io_, socket_, json_, command_,
        [this](const std::string& call, const std::string& api) { return steer_.ask(call, api); });
    app_.footer(std::string(kExamples) + kExitCodes);  // last, or every command would have it too
  }

  int run(std::vector<std::string> arguments) {
    try {
      if (!arguments.empty()) first_ = arguments.front();
      std::ranges::reverse(arguments);  // as CLI11 takes them
      app_.parse(std::move(arguments));
      return static_cast<int>(command_());
    } catch (const CLI::Success& wanted) {  // --help, --version
      app_.exit(wanted, io_.out, io_.err);
      return static_cast<int>(Exit::kOk);
    } catch (const CLI::ParseError& error) {
      io_.err << "penstock: " << (unknown_command().empty() ? error.what() : unknown_command())
              << "\nSee penstock --help\n";
      return static_cast<int>(Exit::kUsage);
    } catch (const Failure& failure) {
      io_.out.flush();
      io_.err << "penstock: " << failure.what() << "\n";
      return static_cast<int>(failure.code);
    }
  }

 private:
  // A sentence about a first word that is no command, or nothing.
  std::string unknown_command() const {
    const std::vector<std::string> rest = app_.remaining();
    if (rest.empty()) return "";
    // "shwo lanes": lanes is a command, but not the one that was meant.
    const bool first = rest.front() == first_;
    if (!first && (command_ || !app_.get_subcommands().empty())) return "";
    std::vector<std::string> names;
    for (const CLI::App* sub : app_.get_subcommands(nullptr))
      names.push_back(sub->get_name());
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string_view near = nearest(rest.front(), views);
    return "there is no command " + rest.front() +
           (near.empty() ? "" : ", did you mean " + std::string(near) + "?");
  }

  static std::map<std::string, penstock_policy> policies() {
    return {{"block", PENSTOCK_BLOCK},
            {"drop_oldest", PENSTOCK_DROP_OLDEST},
            {"drop_newest", PENSTOCK_DROP_NEWEST},
            {"conflate", PENSTOCK_CONFLATE},
            {"disconnect", PENSTOCK_DISCONNECT}};
  }

  static std::map<std::string, penstock_path> paths() {
    return {{"any", PENSTOCK_ANY_PATH},
            {"prefer", PENSTOCK_PREFER_ZERO_COPY},
            {"require_zero_copy", PENSTOCK_REQUIRE_ZERO_COPY}};
  }

  // A subcommand; `command` runs once its arguments are read.
  CLI::App* add(CLI::App& to, const std::string& name, const std::string& text,
                std::function<Exit()> command) {
    CLI::App* sub = to.add_subcommand(name, text);
    sub->callback([this, command = std::move(command)] { command_ = command; });
    return sub;
  }

  static CLI::Option* add_duration(CLI::App* to, const std::string& name, const std::string& text,
                                   std::function<void(uint64_t)> set) {
    return to
        ->add_option_function<std::string>(
            name,
            [name, set = std::move(set)](const std::string& value) {
              const auto ns = parse_duration(value);
              if (!ns || *ns > INT64_MAX) {
                throw CLI::ValidationError(name, value + " " + (ns ? "is too large" : ns.error()));
              }
              set(*ns);
            },
            text)
        ->type_name("DURATION");
  }

  static void add_size(CLI::App* to, const std::string& name, const std::string& text,
                       std::function<void(uint64_t)> set) {
    to->add_option_function<std::string>(
          name,
          [name, set = std::move(set)](const std::string& value) {
            const auto bytes = parse_size(value);
            if (!bytes || *bytes > (uint64_t{1} << 30)) {
              throw CLI::ValidationError(
                  name, value + " " + (bytes ? "is more than 1GiB" : bytes.error()));
            }
            set(*bytes);
          },
          text)
        ->type_name("SIZE");
  }

  void add_send(const std::string& name, bool push, const std::string& text) {
    SendOptions& o = push ? push_ : pub_;
    o.push = push;
    CLI::App* sub = add(app_, name, text, [this, &o] {
      o.socket = socket_;
      o.json = json_;
      return send(io_, o);
    });
    sub->add_option("-t,--topic,topic", o.topic, "topic to send to")->required();
    CLI::Option* file = sub->add_option("-f,--file", o.file, "send this file as one message");
    sub->add_flag("--raw", o.whole, "send all of the input as one message, not line by line")
        ->excludes(file);
    sub->add_option("--key", o.key,
                    push ? "send all to the same puller while the group is as it is"
                         : "key that the messages carry");
    sub->add_option("-n,--count", o.count, "send so many lines, then end");
    add_duration(sub, "--timeout",
                 push ? "wait so long for room or a puller; else for ever"
                      : "wait so long for room; else for ever",
                 [&o](uint64_t ns) { o.timeout_ns = ns; });
  }

  void add_receive(const std::string& name, bool pull, const std::string& text) {
    ReceiveOptions& o = pull ? pull_ : sub_;
    o.pull = pull;
    CLI::App* sub = add(app_, name, text, [this, &o] {
      if (o.raw && json_) throw Failure(Exit::kUsage, "--raw and --json exclude each other");
      o.socket = socket_;
      o.json = json_;
      return receive(io_, o);
    });
    sub->add_option("-t,--filter,filter", o.filter, "filter of topics, 'grad.#'")->required();
    sub->add_flag("--raw", o.raw, "print the bytes alone, without a line end behind each");
    sub->add_option("-n,--count", o.count, "end after so many messages");
    add_duration(sub, "--timeout", "end when nothing came for so long",
                 [&o](uint64_t ns) { o.timeout_ns = ns; });
    if (!pull) {
      pen::SubscriberOptions& s = o.subscriber;
      sub->add_option("--policy", s.policy,
                      "when it is behind: block (hold publishers back), drop_oldest, drop_newest, "
                      "conflate (only the newest of each topic), disconnect")
          ->transform(CLI::CheckedTransformer(policies()))
          ->type_name("POLICY");
      sub->add_option("--path", s.path,
                      "how large messages of other nodes may come: any, prefer (RDMA; else the "
                      "node complains), require_zero_copy (wait for RDMA, else end)")
          ->transform(CLI::CheckedTransformer(paths()))
          ->type_name("PATH");
      sub->add_option("--limit-messages", s.limit_messages,
                      "so many of one publisher may wait; else what its lane holds");
      add_size(sub, "--limit-bytes", "so many bytes of one publisher may wait",
               [&s](uint64_t bytes) { s.limit_bytes = bytes; });
      add_duration(sub, "--block-for",
                   "block: hold a full publisher back for so long; else for ever",
                   [&s](uint64_t ns) { s.block_ns = ns; });
    }
  }

  void add_show() {
    CLI::App* sub = add(app_, "show", "tables of what the node has", [this] {
      show_.socket = socket_;
      show_.json = json_;
      return show_command(io_, show_);
    });
    sub->add_option("what", show_.what, "lanes, links, ports, clients, drops or node")
        ->required()
        ->check(CLI::IsMember({"lanes", "links", "ports", "clients", "drops", "node"}));
    sub->add_flag("-w,--watch", show_.watch, "again each second, until q or ^C");
  }

  void add_top() {
    CLI::App* sub = add(app_, "top", "what flows through the node now; q ends it", [this] {
      top_.socket = socket_;
      top_.json = json_;
      return top(io_, top_);
    });
    add_duration(sub, "--interval", "time between two screens; 1s if not given",
                 [this](uint64_t ns) { top_.interval_ns = ns; });
    sub->add_option("-n,--count", top_.count, "end after so many screens");
  }

  void add_bench() {
    CLI::App* sub = add(app_, "bench", "measure between two clients of the node", [this] {
      bench_.socket = socket_;
      bench_.json = json_;
      return bench(io_, bench_);
    });
    add_size(sub, "--size", "bytes of a message; 64B if not given",
             [this](uint64_t bytes) { bench_.size = bytes; });
    add_duration(sub, "--time", "time for each measurement; 2s if not given",
                 [this](uint64_t ns) { bench_.duration_ns = ns; });
  }

  void add_topology() {
    add(app_, "topology", "which CPUs the node took, and why",
        [this] { return topology(io_, socket_, json_); });
  }

  void add_match() {
    CLI::App* sub = add(app_, "match",
                        "would a message be delivered? 1 or 0; without arguments, for each line "
                        "\"filter<TAB>topic\" of the input",
                        [this] {
                          if (match_given_->count() != 0)
                            return match_one(io_, match_filter_, match_topic_);
                          return match_lines(io_);
                        });
    CLI::Option* filter = sub->add_option("filter", match_filter_, "filter of the subscriber");
    match_given_ = sub->add_option("topic", match_topic_, "topic of the message");
    filter->needs(match_given_);
  }

  void add_config() {
    CLI::App* config = app_.add_subcommand("config", "check, print and explain config files");
    config->require_subcommand(1);
    CLI::App* check = add(*config, "check", "say everything that is wrong with a file",
                          [this] { return config_check(io_, config_file_, json_); });
    check->add_option("file", config_file_, "the file")->required();
    CLI::App* show = add(
        *config, "show", "print a file, or what the node runs with, with every default filled in",
        [this] {
          return config_file_.empty() ? steer_.config_running() : config_show(io_, config_file_);
        });
    show->add_option("file", config_file_, "the file; else the node is asked");
    steer_.add_config_diff(*config);
    add(*config, "example", "print a commented file with every option",
        [this] { return config_example(io_); });
    add(*config, "markdown", "print the table of options", [this] { return config_markdown(io_); });
  }

  const Io& io_;
  CLI::App app_;
  std::string first_;  // argument
  std::function<Exit()> command_;
  std::string socket_;
  bool json_ = false;
  SendOptions pub_, push_;
  ReceiveOptions sub_, pull_;
  ShowOptions show_;
  TopOptions top_;
  BenchOptions bench_;
  std::string match_filter_, match_topic_;
  CLI::Option* match_given_ = nullptr;
  std::string config_file_;
  SteerCommands steer_;
  std::optional<HostCommands> host_;
};

}  // namespace

int run(const std::vector<std::string>& arguments, const Io& io, const OpenApi& open) {
  return Program(io, open).run(arguments);
}

}  // namespace penstock::cli
