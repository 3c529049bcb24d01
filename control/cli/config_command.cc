#include "control/cli/config_command.h"

#include <nlohmann/json.hpp>

#include "control/config/docs.h"
#include "control/config/load.h"

namespace penstock::cli {

namespace {

using nlohmann::json;

// A file may hold bytes that are no UTF-8; a message that quotes them still prints.
std::string dump(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Exit config_check(const Io& io, const std::string& file, bool as_json) {
  const Loaded loaded = load(file);
  if (as_json) {
    json list = json::array();
    if (!loaded) {
      for (const Diagnostic& d : loaded.error()) {
        list.push_back(
            {{"file", d.file}, {"line", d.line}, {"key", d.key}, {"message", d.message}});
      }
    }
    io.out << dump(list) << "\n";
  } else if (loaded) {
    io.out << file << ": ok\n";
  } else {
    for (const Diagnostic& d : loaded.error())
      io.err << text(d) << "\n";
  }
  return loaded ? Exit::kOk : Exit::kFailed;
}

Exit config_show(const Io& io, const std::string& file) {
  const Loaded loaded = load(file);
  if (!loaded) return config_check(io, file, false);
  io.out << full(*loaded);
  return Exit::kOk;
}

Exit config_example(const Io& io) {
  io.out << example();
  return Exit::kOk;
}

Exit config_markdown(const Io& io) {
  io.out << markdown();
  return Exit::kOk;
}

}  // namespace penstock::cli
