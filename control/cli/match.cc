#include "control/cli/match.h"

#include <cstdint>
#include <string_view>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/name.h"

namespace penstock::cli {

namespace {

bool delivered(std::string_view filter, std::string_view topic) {
  return valid_filter(filter) && valid_topic(topic) && matches(filter, topic);
}

}  // namespace

Exit match_one(const Io& io, const std::string& filter, const std::string& topic) {
  if (!valid_filter(filter)) io.err << "not a filter: " << filter << "\n";
  if (!valid_topic(topic)) io.err << "not a topic: " << topic << "\n";
  io.out << (delivered(filter, topic) ? "1\n" : "0\n");
  return Exit::kOk;
}

Exit match_lines(const Io& io) {
  Exit exit = Exit::kOk;
  std::string line;
  for (uint64_t number = 1; std::getline(io.in, line); number++) {
    const std::string_view view = line;
    const size_t tab = view.find('\t');
    if (tab == std::string_view::npos) {
      io.err << "line " << number << ": no tab between filter and topic\n";
      exit = Exit::kFailed;
    }
    const bool yes =
        tab != std::string_view::npos && delivered(view.substr(0, tab), view.substr(tab + 1));
    io.out << (yes ? "1\n" : "0\n");
  }
  return exit;
}

}  // namespace penstock::cli
