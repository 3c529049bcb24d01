#include "control/cli/wait.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include "control/cli/api_view.h"
#include "control/cli/json_fields.h"
#include "control/cli/top.h"
#include "dataplane/base/fd.h"

namespace penstock::cli {

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr uint64_t kPause = 250'000'000;         // ns
constexpr std::chrono::seconds kAfterDrain{10};  // to end, once it has drained

std::chrono::nanoseconds left(Clock::time_point end) {
  return std::max<std::chrono::nanoseconds>(end - Clock::now(), std::chrono::milliseconds(1));
}

void print(const Io& io, const json& event, bool as_json) {
  io.out << (as_json ? json_text(event, -1) : event_line(event)) << std::flush;
  if (!io.out) throw Failure(Exit::kFailed, "the output cannot be written");
}

// The process behind a socket, which reads as ready when it has ended. None where this host cannot
// tell: over TCP, or when the node is in a container of which we see no processes.
Fd process_behind(const ApiTarget& target) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (target.tcp() || target.address.size() >= sizeof at.sun_path) return {};
  target.address.copy(at.sun_path, target.address.size());
  const Fd s(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred who{};
  socklen_t len = sizeof who;
  if (connect(s.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
      getsockopt(s.get(), SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || who.pid == 0)
    return {};
  return Fd(static_cast<int>(syscall(SYS_pidfd_open, who.pid, 0)));
}

bool has_ended(const Fd& process) {
  pollfd p{process.get(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

bool answers(Api& api) try {
  (void)api.ask("GetNode");
  return true;
} catch (const Failure& failure) {
  if (failure.code != Exit::kNoNode) throw;
  return false;
}

}  // namespace

Exit health(const Io& io, const OpenApi& open, const SteerOptions& options,
            const HealthOptions& h) {
  const auto end = Clock::now() + std::chrono::nanoseconds(options.timeout_ns);
  while (true) {
    std::string trouble;
    json answer;
    try {
      SteerOptions once = options;
      once.timeout_ns = static_cast<uint64_t>(left(end).count());
      answer = Api(open, once).ask("CheckHealth");
    } catch (const Failure& failure) {
      // It may be about to start.
      if (!h.until_healthy || (failure.code != Exit::kNoNode && failure.code != Exit::kTimeout))
        throw;
      trouble = failure.what();
    }
    const bool good = trouble.empty() && answer.value("healthy", false);
    const bool last = !h.until_healthy || Clock::now() >= end;
    if (good || (last && trouble.empty())) {
      io.out << (options.json ? json_text(answer, 2) : api_view("CheckHealth", answer));
      return good ? Exit::kOk : h.until_healthy ? Exit::kTimeout : Exit::kFailed;
    }
    if (last) throw Failure(Exit::kTimeout, trouble);
    if (pause_or_quit(kPause)) return Exit::kFailed;
  }
}

Exit events(const Io& io, const OpenApi& open, const SteerOptions& options,
            const EventsOptions& e) {
  Api api(open, options);
  json answer = api.ask("ListEvents");
  if (e.raised || (options.json && !e.follow)) {
    if (options.json)
      io.out << json_text(e.raised ? list(answer, "raised") : answer, 2);
    else
      io.out << api_view("ListEvents", answer);
    return Exit::kOk;
  }
  uint64_t next = 1, epoch = num(answer, "epoch");
  while (true) {
    const json& all = list(answer, "events");
    // Nobody asked for those before the first that is there.
    if (next != 1 && !all.empty() && num(all.front(), "number") > next)
      io.err << "penstock: " << num(all.front(), "number") - next << " events are forgotten\n";
    for (const json& event : all)
      print(io, event, options.json);
    next = num(answer, "next");
    if (all.empty() && (!e.follow || pause_or_quit(kPause))) return Exit::kOk;
    answer = api.ask("ListEvents", {{"from", next}});
    if (std::exchange(epoch, num(answer, "epoch")) == epoch) continue;
    io.err << "penstock: the node was started anew\n";
    next = 1;
    answer = api.ask("ListEvents");
  }
}

Exit drain(const Io& io, const OpenApi& open, const SteerOptions& options,
           std::optional<uint64_t> time_ns) {
  const Fd process = process_behind(options.api);
  Api api(open, options);
  const json answer = api.ask("Drain", time_ns ? json{{"timeout_ns", *time_ns}} : json::object());
  const auto time = std::chrono::nanoseconds(num(answer, "timeout_ns"));
  const auto end = Clock::now() + time + kAfterDrain;
  while (process ? !has_ended(process) : answers(api)) {
    if (Clock::now() >= end)
      throw Failure(Exit::kTimeout, "the node drains, but has not stopped; look at its log");
    if (pause_or_quit(kPause)) return Exit::kFailed;
  }
  if (options.json)
    io.out << json_text(answer, 2);
  else
    io.out << (process ? "drained, the node has ended" : "the node stops")
           << "; what was not delivered, if anything, stands in its log\n";
  return Exit::kOk;
}

Exit remove_member(const Io& io, const OpenApi& open, const SteerOptions& options, uint64_t id) {
  const json answer = Api(open, options).ask("RemoveMember", {{"id", id}});
  if (options.json)
    io.out << json_text(answer, 2);
  else
    io.out << fmt::format(
        "node {} is removed, in epoch {} and before: every node drops its links to it\n",
        num(answer, "id"), num(answer, "epoch"));
  return Exit::kOk;
}

}  // namespace penstock::cli
