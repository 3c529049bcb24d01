#include "control/cli/bundle.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/cli/child.h"
#include "control/cli/host.h"
#include "control/cli/json_fields.h"
#include "control/cli/node.h"
#include "control/config/docs.h"
#include "control/config/load.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array kTables = {"lanes", "links", "ports", "clients", "drops", "node"};

std::string utc_time() {
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::time(nullptr)));
}

// A folder of our own under /tmp, gone at the end.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "penstock-bundle.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw Failure(Exit::kFailed, name + ": " + std::strerror(errno));
    path = name;
  }
  ~Scratch() {
    std::error_code none;
    fs::remove_all(path, none);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path path;
};

std::string file_text(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

// The folder that becomes the archive, and what stands in it.
class Parts {
 public:
  explicit Parts(fs::path folder) : folder_(std::move(folder)) {
    fs::create_directories(folder_ / "show");
  }

  void add(const std::string& name, const std::string& what, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    said(name, what);
  }

  void add_journal() {
    constexpr const char* kName = "journal.txt";
    const int rc = run_child({"journalctl", "--unit=penstockd", "--unit=penstock-setup",
                              "--lines=2000", "--no-pager", "--output=short-iso-precise"},
                             folder_ / kName);
    const bool empty = rc == 0 && file_text(folder_ / kName).ends_with("-- No entries --\n");
    if (rc == 0 && !empty) return said(kName, "the last 2000 lines of penstockd's log");
    std::error_code none;
    fs::remove(folder_ / kName, none);
    missing(kName, rc == 127 ? "there is no journalctl: add the log from where penstockd writes it"
                   : empty   ? "the journal has no line of penstockd that you may read: run it as "
                               "root, or add the log from where penstockd writes it"
                             : fmt::format("journalctl fails with {}", rc));
  }

  void said(const std::string& name, const std::string& what) {
    list_.push_back({{"name", name}, {"what", what}});
  }
  void missing(const std::string& name, const std::string& why) {
    list_.push_back({{"name", name}, {"missing", why}});
  }

  const nlohmann::json& list() const { return list_; }

  std::string contents() const {
    std::string out;
    for (const auto& part : list_)
      out += part.contains("what")
                 ? fmt::format("  {:<20} {}\n", str(part, "name"), str(part, "what"))
                 : fmt::format("  {:<20} not there: {}\n", str(part, "name"), str(part, "missing"));
    return out;
  }

 private:
  fs::path folder_;
  nlohmann::json list_ = nlohmann::json::array();
};

void add_config(Parts& parts, const std::string& file) {
  const Loaded config = load(file);
  if (config) return parts.add("config.toml", "options in effect, without comments", full(*config));
  std::string faults;
  for (const Diagnostic& d : config.error())
    faults += fmt::format("{}:{}: {}\n", d.file, d.line, d.key);  // a message may quote a value
  parts.add("config-faults.txt", "keys of the config that are wrong; the file itself is left out",
            faults);
}

void add_tables(Parts& parts, const std::string& socket) {
  try {
    pen::Client client = attach(socket, "penstock bundle");
    for (const std::string what : kTables)
      parts.add("show/" + what + ".json", "penstock show " + what,
                json_text(ask(client, "show " + what), 2));
    parts.add("show/topology.json", "penstock topology", json_text(ask(client, "topology"), 2));
  } catch (const Failure& failure) {
    parts.missing("show/", failure.what());
  }
}

std::string versions() {
  utsname kernel{};
  uname(&kernel);
  std::string out = fmt::format("penstock {}\n{} {} {}\n", PROGRAM_VERSION, kernel.sysname,
                                kernel.release, kernel.machine);
  std::ifstream system("/etc/os-release");
  for (std::string line; std::getline(system, line);)
    if (line.starts_with("PRETTY_NAME=")) out += line + "\n";
  return out;
}

}  // namespace

Exit bundle(const Io& io, const BundleOptions& options) {
  const Host host = look_at_host();
  const std::string name = fmt::format("penstock-bundle-{}-{}", host.name, utc_time());
  const fs::path archive = fs::absolute(options.output.empty() ? name + ".tar.gz" : options.output);
  const mode_t before = umask(0077);
  const Scratch scratch;
  Parts parts(scratch.path / name);
  parts.add("versions.txt", "of penstock, kernel and system", versions());
  parts.add("host.json", "cores, huge pages, NICs with their addresses",
            json_text(to_json(host), 2));
  parts.add("topology.xml", "hwloc's description of the machine", topology_xml());
  parts.add("memory.txt", "/proc/meminfo", file_text("/proc/meminfo"));
  parts.add("kernel.txt", "the kernel's command line", file_text("/proc/cmdline"));
  add_config(parts, options.config);
  add_tables(parts, options.socket);
  parts.add_journal();
  parts.add("CONTENTS", "this list", parts.contents());
  // tar writes beside the target, so that half an archive has another name.
  const std::string fresh = archive.string() + ".new";
  const fs::path errors = scratch.path / "errors";
  const int rc = run_child({"tar", "-czf", fresh, "-C", scratch.path, name}, errors);
  umask(before);
  std::error_code error;
  if (rc == 0) fs::rename(fresh, archive, error);
  if (rc != 0 || error) {
    fs::remove(fresh, error);
    throw Failure(Exit::kFailed,
                  fmt::format("{}: cannot be written: {}", archive.string(), file_text(errors)));
  }
  if (options.json) {
    io.out << json_text({{"archive", archive.string()}, {"parts", parts.list()}}, 2);
  } else {
    io.out << archive.string() << " holds\n"
           << parts.contents() << "Look it through before you pass it on.\n";
  }
  return Exit::kOk;
}

}  // namespace penstock::cli
