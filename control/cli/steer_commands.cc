#include "control/cli/steer_commands.h"

#include "control/config/units.h"

namespace penstock::cli {

namespace {

constexpr const char* kDefaultSocket = "/run/penstock/penstock.sock";

}  // namespace

SteerCommands::SteerCommands(const Io& io, OpenApi open, const std::string& socket,
                             const bool& json, Choose choose)
    : io_(io), open_(std::move(open)), socket_(socket), json_(json), choose_(std::move(choose)) {}

void SteerCommands::add_to(CLI::App& app) {
  app.add_option("--api", options_.api.address,
                 "API of the node: path of its socket, or HOST:PORT with --ca, --certificate and "
                 "--key; else the node's socket with .api behind it")
      ->envname("PENSTOCK_API");
  app.add_option("--ca", options_.api.ca, "PEM file of who vouches for the node, for HOST:PORT");
  app.add_option("--certificate", options_.api.certificate, "PEM file of your certificate");
  app.add_option("--key", options_.api.key, "PEM file of its key");
  add_lists(app);
  CLI::App* reload = add(app, "reload", "have the node read its config file again, as SIGHUP does",
                         [this] { return cli::reload(io_, open_, options()); });
  reload->footer(
      "With one fault in the file nothing changes, every fault is told, and the exit code is 1.\n"
      "Else options that apply while a node runs are taken over at once, and a table tells which\n"
      "others differ and wait for a restart.");
  add_timeout(reload);
  add_health(app);
  add_events(app);
}

const SteerOptions& SteerCommands::options() {
  options_.json = json_;
  if (options_.api.address.empty())
    options_.api.address = (socket_.empty() ? kDefaultSocket : socket_) + ".api";
  return options_;
}

CLI::App* SteerCommands::add(CLI::App& to, const std::string& name, const std::string& text,
                             std::function<Exit()> command) {
  CLI::App* sub = to.add_subcommand(name, text);
  sub->callback([this, command = std::move(command)] { choose_(command); });
  return sub;
}

void SteerCommands::add_timeout(CLI::App* to, const std::string& text) {
  to->add_option_function<std::string>(
        "--timeout",
        [this](const std::string& value) {
          const auto ns = parse_duration(value);
          if (!ns || *ns == 0 || *ns > 3'600'000'000'000)
            throw CLI::ValidationError(
                "--timeout", value + " " + (ns ? "is not within 1ns and 1h" : ns.error()));
          options_.timeout_ns = *ns;
        },
        text)
      ->type_name("DURATION");
}

CLI::App* SteerCommands::add_look(CLI::App& to, const std::string& name, const std::string& call,
                                  const std::string& text, const std::string& more) {
  CLI::App* sub =
      add(to, name, text, [this, call] { return look(io_, open_, options(), call, request_); });
  sub->add_flag("-w,--watch", options_.watch, "again each second, until q or ^C");
  add_timeout(sub);
  sub->footer(more + "\nWith --json: the answer of " + call +
              " in control.proto, field for field.");
  return sub;
}

void SteerCommands::add_lists(CLI::App& app) {
  const auto add_text = [this](CLI::App* to, const char* name, const char* text) {
    to->add_option_function<std::string>(
        name, [this, name](const std::string& value) { request_[name] = value; }, text);
    to->add_option_function<uint32_t>(
        "--limit", [this](uint32_t value) { request_["limit"] = value; },
        "so many rows at most, up to 10000; 1000 if not given");
  };
  add_look(app, "nodes", "ListNodes", "who this node knows, and how its links are",
           "The node itself, members of the store and peers of the config. STATE is that of the\n"
           "links: up, reconnecting, connecting, or no link.");
  add_look(app, "members", "ListMembers", "the members in the store, and how the store is",
           "As this node sees them: with the store away, as they were.");
  add_text(
      add_look(app, "topics", "ListTopics", "topics here: who publishes, who takes them",
               "SUBSCRIPTIONS and GROUPS are those here; NODES the peers that want the topic."),
      "filter", "only topics that this filter takes");
  add_text(
      add_look(app, "subscriptions", "ListSubscriptions", "who wants what, and with which policy",
               "FROM is a client of this node, or a peer for its subscribers. MESSAGES, BYTES and\n"
               "BLOCKS FOR are limits; an empty cell: none but what a lane holds."),
      "topic", "only those that would get this topic");
  add_look(app, "lanes", "ListLanes", "lanes and their readers, as show lanes",
           "Each reader's books: sent = delivered + dropped + in flight.");
  add_look(app, "links", "ListLinks", "paths to peers, as show links", "One row for each path.");
  add_look(app, "clients", "ListClients", "programs that are attached, as show clients",
           "One row for each.");
}

void SteerCommands::add_health(CLI::App& app) {
  CLI::App* sub = add(app, "health", "can the node do its work? named checks",
                      [this] { return health(io_, open_, options(), health_); });
  sub->add_flag("--exit-when-healthy", health_.until_healthy,
                "ask again until it is, also when there is no node yet");
  add_timeout(sub, "wait so long; 5s if not given");
  sub->footer(
      "The exit code is 0 when every check is good, else 1; with --exit-when-healthy 4 when time\n"
      "was up. Peers are not looked at: see nodes.");
}

void SteerCommands::add_events(CLI::App& app) {
  CLI::App* sub = add(app, "events", "what happened at the node, and what is wrong now",
                      [this] { return events(io_, open_, options(), events_); });
  sub->add_flag("-f,--follow", events_.follow, "go on until ^C");
  sub->add_flag("--raised", events_.raised, "only what is raised now")->excludes("--follow");
  add_timeout(sub);
  sub->footer(
      "The last 1024 events, a line each; with --json the answer of ListEvents in control.proto,\n"
      "while following an event a line. Most come in pairs: raised, later cleared.");
}

void SteerCommands::add_config_diff(CLI::App& config) {
  CLI::App* diff = add(config, "diff", "what differs between a file and what the node runs with",
                       [this] { return cli::config_diff(io_, open_, options(), file_); });
  diff->add_option("file", file_, "the file; else the one that the node was started with");
  add_timeout(diff);
  diff->footer(
      "Changes nothing. APPLIES says what a reload would take over and what waits for a\n"
      "restart. Faults in the file: exit code 1.");
}

Exit SteerCommands::config_running() {
  return cli::config_running(io_, open_, options());
}

}  // namespace penstock::cli
