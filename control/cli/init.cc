#include "control/cli/init.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <grp.h>
#include <map>
#include <nlohmann/json.hpp>
#include <pwd.h>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/json_fields.h"
#include "control/config/docs.h"
#include "control/config/load.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

std::string in_quotes(const std::string& text) {
  return fmt::format("\"{}\"", text);
}

// What a name may hold; "node" when nothing is left of it.
std::string as_name(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, text.find('.')))
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') out += c;
  return out.empty() ? "node" : out.substr(0, 63);
}

// One that is used is worth a remark and no port.
std::string port_for(const Nic& nic, size_t number) {
  const std::string what = fmt::format("{}{}{}", nic.pci, nic.interface.empty() ? "" : ", ",
                                       nic.interface.empty() ? "" : nic.interface);
  if (nic.in_use())
    return fmt::format("# {}: the kernel uses it ({}), so it is no port.\n", what,
                       nic.enslaved ? "in a bond or bridge" : nic.addresses);
  return fmt::format(
      "# {}: driver {}{}. Give it an address and take the comments away.\n"
      "# [[port]]\n# name = \"p{}\"\n# device = \"pci:{}\"\n# address = \"10.1.0.1/24\"\n",
      what, nic.driver.empty() ? "none" : nic.driver,
      nic.driver == "vfio-pci" || nic.driver == "mlx5_core"
          ? ""
          : "; NICS in /etc/default/penstock binds it to vfio-pci",
      number, nic.pci);
}

std::string huge_pages(const Host& host) {
  std::string out;
  for (const HugePageSize& p : host.huge_pages)
    out += fmt::format("{}{} of {} KiB ({} free)", out.empty() ? "" : ", ", p.total, p.kib, p.free);
  return out.empty() ? "none" : out;
}

// One that the node writes to is its user's; others are root's: what is in them, root may run.
void make_directory(const fs::path& path, mode_t mode, bool of_the_node) {
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  if (error)
    throw Failure(Exit::kFailed, fmt::format("{}: {}; run it as root, or name another with "
                                             "--config, --socket and --state-dir",
                                             path.string(), error.message()));
  if (!made) return;
  chmod(path.c_str(), mode);
  if (!of_the_node) return;
  const passwd* user = getpwnam("penstock");  // NOLINT(concurrency-mt-unsafe): one thread
  if (user != nullptr && geteuid() == 0 && chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    throw Failure(Exit::kFailed, fmt::format("{}: {}", path.string(), std::strerror(errno)));
}

// The old file or the new one, never half of one.
void write_file(const fs::path& path, const std::string& text) {
  const fs::path fresh = path.string() + ".new";
  std::ofstream out(fresh);
  out << text << std::flush;
  std::error_code error;
  if (out) fs::rename(fresh, path, error);
  if (!out || error)
    throw Failure(Exit::kFailed,
                  fmt::format("{}: cannot be written: {}", path.string(), std::strerror(errno)));
}

}  // namespace

std::string config_for(const Host& host, const InitOptions& options) {
  std::map<std::string, std::string> values = {
      {"node.id", std::to_string(options.id)},
      {"node.name", in_quotes(as_name(host.name))},
      // One for eight cores: the others are the programs'.
      {"workers.count", std::to_string(std::clamp<uint32_t>(host.cores / 8, 1, 4))}};
  if (!options.socket.empty()) values["node.socket"] = in_quotes(options.socket);
  if (!options.state_dir.empty()) values["node.state_dir"] = in_quotes(options.state_dir);
  if (getgrnam("penstock") != nullptr)  // NOLINT(concurrency-mt-unsafe): one thread
    values["node.socket_group"] = in_quotes("penstock");
  std::string out = fmt::format(
      "# Made by penstock init. This host: {}, {} core(s), {} thread(s), {} NUMA node(s),\n"
      "# {} IOMMU, huge pages: {}.\n#\n",
      as_name(host.name), host.cores, host.threads, host.numa_nodes, host.iommu ? "an" : "no",
      huge_pages(host));
  out += example(values);
  out += "\n# The NICs of this host.\n";
  size_t number = 0;
  for (const Nic& nic : host.nics) {
    out += "\n" + port_for(nic, number);
    if (!nic.in_use()) number++;
  }
  if (host.nics.empty()) out += "# There are none.\n";
  return out;
}

Exit init(const Io& io, const InitOptions& given) {
  InitOptions options = given;
  if (options.id == 0) options.id = 1 + std::random_device()() / 2;
  const Host host = look_at_host();
  const std::string text = config_for(host, options);
  const Loaded config = parse(text, options.config);
  if (!config) throw Failure(Exit::kFailed, penstock::text(config.error().front()));
  const std::vector<fs::path> directories = {fs::path(options.config).parent_path(),
                                             fs::path(config->node.socket).parent_path(),
                                             config->node.state_dir};
  if (!options.dry_run) {
    if (!options.force && fs::exists(options.config))
      throw Failure(Exit::kFailed, options.config + " is there already; --force replaces it");
    const mode_t modes[] = {0755, 0755, 0750};
    for (size_t i = 0; i < directories.size(); i++)
      if (!directories[i].empty()) make_directory(directories[i], modes[i], i > 0);
    write_file(options.config, text);
  }
  if (options.json) {
    nlohmann::json made = nlohmann::json::array();
    for (const fs::path& d : directories)
      made.push_back(d.string());
    io.out << json_text({{"host", to_json(host)},
                         {"config", options.config},
                         {"text", text},
                         {"directories", made},
                         {"written", !options.dry_run}},
                        2);
  } else if (options.dry_run) {
    io.out << text;
  } else {
    io.out << fmt::format(
        "node {}: {} is written; next: penstock config check {}, then systemctl "
        "start penstockd or penstock run\n",
        options.id, options.config, options.config);
  }
  return Exit::kOk;
}

}  // namespace penstock::cli
