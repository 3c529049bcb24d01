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
  add_drain(app);
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
  // Not when a command of its own was chosen: members, members remove.
  sub->callback([this, sub, command = std::move(command)] {
    if (sub->get_subcommands().empty()) choose_(command);
  });
  return sub;
}

void SteerCommands::add_time(CLI::App* to, const std::string& text,
                             std::function<void(uint64_t)> set) {
  to->add_option_function<std::string>(
        "--timeout",
        [set = std::move(set)](const std::string& value) {
          const auto ns = parse_duration(value);
          if (!ns || *ns > 3'600'000'000'000)
            throw CLI::ValidationError("--timeout",
                                       value + " " + (ns ? "is more than 1h" : ns.error()));
          set(*ns);
        },
        text)
      ->type_name("DURATION");
}

void SteerCommands::add_timeout(CLI::App* to, const std::string& text) {
  add_time(to, text, [this](uint64_t ns) {
    if (ns == 0) throw CLI::ValidationError("--timeout", "0 is no time at all");
    options_.timeout_ns = ns;
  });
}

CLI::Option* SteerCommands::add_watch(CLI::App* to) {
  return to->add_flag("-w,--watch", options_.watch, "again each second, until q or ^C");
}

CLI::App* SteerCommands::add_look(CLI::App& to, const std::string& name, const std::string& call,
                                  const std::string& text, const std::string& more) {
  CLI::App* sub =
      add(to, name, text, [this, call] { return look(io_, open_, options(), call, request_); });
  add_watch(sub);
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
  CLI::App* members =
      add_look(app, "members", "ListMembers", "the members in the store, and how the store is",
               "As this node sees them: with the store away, as they were.");
  add_members_remove(*members);
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

// Without it the members are listed.
void SteerCommands::add_members_remove(CLI::App& members) {
  CLI::App* remove = add(members, "remove", "remove a member: every node drops its links to it",
                         [this] { return remove_member(io_, open_, options(), id_); });
  remove->add_option("id", id_, "its node.id")->required();
  add_timeout(remove);
  remove->footer(
      "It is removed in the epoch that it has now. It goes on by itself, and is a member again "
      "when\n"
      "it is restarted. A static store is edited by people: there it is refused.");
}

void SteerCommands::add_health(CLI::App& app) {
  CLI::App* sub = add(app, "health", "can the node do its work? named checks", [this] {
    return options_.watch ? look(io_, open_, options(), "CheckHealth", request_)
                          : health(io_, open_, options(), health_);
  });
  sub->add_flag("--exit-when-healthy", health_.until_healthy,
                "ask again until it is, also when there is no node yet")
      ->excludes(add_watch(sub));
  add_timeout(sub, "wait so long; 5s if not given");
  sub->footer(
      "The exit code is 0 when every check is good, else 1; with --exit-when-healthy 4 when time\n"
      "was up; of --watch 0, as of every table. Peers are not looked at: see nodes.");
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

void SteerCommands::add_drain(CLI::App& app) {
  CLI::App* sub = add(app, "drain", "have the node deliver what is published, then stop",
                      [this] { return drain(io_, open_, options(), drain_ns_); });
  add_time(sub, "give readers so long; node.drain if not given",
           [this](uint64_t ns) { drain_ns_ = ns; });
  sub->footer(
      "As SIGTERM does: clients, publishers, topics and subscriptions that are new are refused, "
      "and\n"
      "what is published gets to its readers as far as they take it in time. Returns when the "
      "node\n"
      "has ended; its log says what did not get out.");
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

nlohmann::json SteerCommands::ask(const std::string& call, const std::string& socket) {
  const bool named = !options_.api.address.empty() || !socket_.empty() || socket.empty();
  SteerOptions asked = named ? options() : options_;
  if (!named) asked.api.address = socket;
  return Api(open_, asked).ask(call);
}

Exit SteerCommands::config_running() {
  return cli::config_running(io_, open_, options());
}

}  // namespace penstock::cli
