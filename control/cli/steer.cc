#include "control/cli/steer.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>

#include "control/cli/api_view.h"
#include "control/cli/json_fields.h"
#include "control/cli/top.h"
#include "control/config/load.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

constexpr uint64_t kInterval = 1'000'000'000;  // ns
constexpr uint64_t kNsInMs = 1'000'000;

Exit exit_of(ApiFault fault) {
  switch (fault) {
    case ApiFault::kInvalid:
      return Exit::kUsage;
    case ApiFault::kTimeout:
      return Exit::kTimeout;
    case ApiFault::kGone:
      return Exit::kNoNode;
    case ApiFault::kRefused:
    case ApiFault::kBusy:
    case ApiFault::kUnknown:
      return Exit::kFailed;
  }
  return Exit::kFailed;
}

// What is wrong with a file: to the errors, as config check does.
Exit faults_in(const Io& io, const json& answer) {
  for (const json& f : list(answer, "faults"))
    io.err << text(Diagnostic{str(f, "file"), static_cast<uint32_t>(num(f, "line")), str(f, "key"),
                              str(f, "message")})
           << "\n";
  return list(answer, "faults").empty() ? Exit::kOk : Exit::kFailed;
}

}  // namespace

Api::Api(const OpenApi& open, const SteerOptions& options) : timeout_ns_(options.timeout_ns) {
  auto opened = open(options.api);
  if (!opened) throw Failure(exit_of(opened.error().fault), opened.error().text);
  client_ = std::move(*opened);
}

json Api::ask(const std::string& call, const json& request) {
  const auto limit = std::chrono::milliseconds((timeout_ns_ + kNsInMs - 1) / kNsInMs);
  const ApiAnswer answer = client_->call(call, request.dump(), limit);
  if (!answer) throw Failure(exit_of(answer.error().fault), answer.error().text);
  json parsed = json::parse(*answer, nullptr, false);
  if (!parsed.is_object()) throw Failure(Exit::kFailed, "the answer to " + call + " is no message");
  return parsed;
}

Exit look(const Io& io, const OpenApi& open, const SteerOptions& options, const std::string& call,
          const json& request) {
  Api api(open, options);
  const bool clear = options.watch && !options.json && isatty(STDOUT_FILENO) == 1;
  do {
    const json answer = api.ask(call, request);
    if (clear) io.out << "\x1b[H\x1b[2J";
    // While it watches, a line an answer.
    io.out << (options.json ? json_text(answer, options.watch ? -1 : 2) : api_view(call, answer))
           << std::flush;
    if (!io.out) throw Failure(Exit::kFailed, "the output cannot be written");
  } while (options.watch && !pause_or_quit(kInterval));
  return Exit::kOk;
}

Exit reload(const Io& io, const OpenApi& open, const SteerOptions& options) {
  const json answer = Api(open, options).ask("ReloadConfig");
  if (options.json) {
    io.out << json_text(answer, 2);
    return list(answer, "faults").empty() ? Exit::kOk : Exit::kFailed;
  }
  if (faults_in(io, answer) != Exit::kOk)
    throw Failure(Exit::kFailed, "the node's config stays as it was");
  io.out << str(answer, "file") << ": read again\n" << api_view("ReloadConfig", answer);
  return Exit::kOk;
}

Exit config_diff(const Io& io, const OpenApi& open, const SteerOptions& options,
                 const std::string& file) {
  json request = json::object();
  if (!file.empty()) {
    std::ifstream in(file);
    std::string content(kMaxConfigBytes + 1, '\0');
    if (!in.read(content.data(), static_cast<std::streamsize>(content.size())) && !in.eof())
      throw Failure(Exit::kFailed,
                    file + ": " + std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
    content.resize(static_cast<size_t>(in.gcount()));
    if (content.size() > kMaxConfigBytes)
      throw Failure(Exit::kFailed, file +
                                       ": is larger than 1 MiB, the most that a node reads: "
                                       "is it the config file?");
    request = {{"file", file}, {"toml", content}};
  }
  const json answer = Api(open, options).ask("DiffConfig", request);
  if (options.json) {
    io.out << json_text(answer, 2);
    return list(answer, "faults").empty() ? Exit::kOk : Exit::kFailed;
  }
  const Exit exit = faults_in(io, answer);
  if (exit == Exit::kOk) io.out << api_view("DiffConfig", answer);
  return exit;
}

Exit config_running(const Io& io, const OpenApi& open, const SteerOptions& options) {
  const json answer = Api(open, options).ask("GetConfig");
  if (options.json)
    io.out << json_text(answer, 2);
  else
    io.out << str(answer, "toml");
  return Exit::kOk;
}

}  // namespace penstock::cli
