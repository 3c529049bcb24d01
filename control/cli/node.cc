#include "control/cli/node.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace penstock::cli {

namespace {

using nlohmann::json;

Exit exit_of(pen::Code code) {
  switch (code) {
    case PENSTOCK_CLOSED:
      return Exit::kNoNode;
    case PENSTOCK_WOULD_BLOCK:
    case PENSTOCK_NO_ROUTE:
    case PENSTOCK_TIMEOUT:
      return Exit::kTimeout;
    case PENSTOCK_EVICTED:
      return Exit::kMissed;
    default:
      return Exit::kFailed;
  }
}

}  // namespace

pen::Client attach(const std::string& socket, const char* name) {
  auto client = pen::Client::attach(name, socket.empty() ? nullptr : socket.c_str());
  const bool nobody = client.code() == PENSTOCK_NOT_FOUND || client.code() == PENSTOCK_SYSTEM;
  if (!client) throw Failure(nobody ? Exit::kNoNode : exit_of(client.code()), pen::last_error());
  return std::move(*client);
}

json ask(pen::Client& client, const std::string& question) {
  const auto answer = client.query(question.c_str());
  if (!answer) throw set_up_failure(answer.code(), question);
  json parsed = json::parse(*answer, nullptr, false);
  if (parsed.is_discarded()) {
    throw Failure(Exit::kFailed, fmt::format("the node's answer to \"{}\" is no JSON", question));
  }
  if (parsed.is_object() && parsed.contains("error")) {
    throw Failure(Exit::kFailed, parsed["error"].dump());
  }
  return parsed;
}

Failure failure(pen::Code code, const std::string& what) {
  const std::string_view why = pen::last_error();
  const bool said = code == PENSTOCK_CLOSED && why.starts_with("the node said");
  return {exit_of(code),
          fmt::format("{}: {}{}{}", what, pen::text(code), said ? ": " : "", said ? why : "")};
}

Failure set_up_failure(pen::Code code, const std::string& what) {
  return {exit_of(code), fmt::format("{}: {}", what, pen::last_error())};
}

}  // namespace penstock::cli
