#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "control/cli/child.h"
#include "control/cli/doctor/look.h"
#include "control/cli/json_fields.h"

namespace penstock::cli {

Verbs verbs_in(const std::string& output) {
  std::istringstream lines(output);
  nlohmann::json answer;
  // rdma-core may warn before it, of a device whose driver it lacks.
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("{")) answer = nlohmann::json::parse(line, nullptr, false);
  Verbs verbs;
  verbs.why = "penstockd --rdma gives no answer";
  if (!answer.is_object()) return verbs;
  try {
    verbs.why = str(answer, "why");
    for (const nlohmann::json& p : list(answer, "ports"))
      verbs.ports.push_back({str(p, "device"), std::to_string(num(p, "port")), str(p, "fault"),
                             str(p, "address"), num(p, "gid_index"), num(p, "mtu"),
                             p.value("dma_buf", false)});
  } catch (const nlohmann::json::exception&) {
    return {"penstockd is of another version and its answer not understood", {}};
  }
  return verbs;
}

std::optional<Verbs> ask_daemon_for_verbs() {
  std::string file = std::filesystem::temp_directory_path() / "penstock-doctor-XXXXXX";
  const int fd = mkstemp(file.data());
  if (fd < 0) return std::nullopt;
  close(fd);
  constexpr int kNotThere = 127;
  const int status = run_child({daemon_program(), "--rdma"}, file);
  std::ifstream in(file);
  std::stringstream output;
  output << in.rdbuf();
  unlink(file.c_str());
  if (status == kNotThere) return std::nullopt;
  return verbs_in(output.str());
}

}  // namespace penstock::cli
