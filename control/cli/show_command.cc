#include "control/cli/show_command.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "control/cli/json_fields.h"
#include "control/cli/node.h"
#include "control/cli/show.h"
#include "control/cli/top.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

constexpr uint64_t kInterval = 1'000'000'000;  // ns

}  // namespace

Exit show_command(const Io& io, const ShowOptions& options) {
  pen::Client client = attach(options.socket, "penstock show");
  const bool clear = options.watch && !options.json && isatty(STDOUT_FILENO) == 1;
  do {
    const json answer = ask(client, "show " + options.what);
    if (clear) io.out << "\x1b[H\x1b[2J";
    // While it watches, a line an answer.
    io.out << (options.json ? json_text(answer, options.watch ? -1 : 2)
                            : show(options.what, answer))
           << std::flush;
    if (!io.out) throw Failure(Exit::kFailed, "the output cannot be written");
  } while (options.watch && !pause_or_quit(kInterval));
  return Exit::kOk;
}

Exit topology(const Io& io, const std::string& socket, bool as_json) {
  pen::Client client = attach(socket, "penstock topology");
  const json answer = ask(client, "topology");
  io.out << (as_json ? json_text(answer, 2) : show("topology", answer));
  return Exit::kOk;
}

}  // namespace penstock::cli
