// From a host to its Facts. Control core only: reads many small files, may throw std::bad_alloc.
#pragma once

#include <filesystem>

#include "control/cli/doctor/facts.h"

namespace penstock::cli {

// `root` is /, or a tree of a test with its sys and proc; `config` is a path of this host. What
// cannot be read is left out.
Facts look_at(const std::filesystem::path& root, const std::filesystem::path& config);

// What penstockd says of this host's RDMA ports, by `penstockd --rdma`; nothing: it is not there.
// Waits for it.
std::optional<Verbs> ask_daemon_for_verbs();
// Its answer, as it was printed.
Verbs verbs_in(const std::string& output);

// From the node's answers to ListLinks and ListPorts.
Ways ways_in(const nlohmann::json& links, const nlohmann::json& ports);

// Parts of look_at(), of `sys` in that root.
std::map<std::string, PciDevice> pci_devices(const std::filesystem::path& sys);
std::vector<RdmaPort> rdma_ports(const std::filesystem::path& sys);

}  // namespace penstock::cli
