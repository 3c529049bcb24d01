// A machine as hwloc writes it down: two sockets of four cores, a NIC on each.
#pragma once

#include <string>

namespace penstock {

inline std::string sets(unsigned cpus, unsigned nodes) {
  char text[200];
  snprintf(
      text, sizeof text,
      R"( cpuset="0x%08x" complete_cpuset="0x%08x" nodeset="0x%08x" complete_nodeset="0x%08x")",
      cpus, cpus, nodes, nodes);
  return text;
}

inline std::string object(const char* type, unsigned number, unsigned id, const std::string& more) {
  return std::string(R"(<object type=")") + type + R"(" os_index=")" + std::to_string(number) +
         R"(" gp_index=")" + std::to_string(id) + "\"" + more;
}

inline std::string socket_xml(unsigned socket, const std::string& bus) {
  const unsigned id = 100 * (socket + 1);
  const std::string here = sets(0xfu << (4 * socket), 1u << socket);
  std::string xml = object("Package", socket, id, here + ">");
  xml += object("NUMANode", socket, id + 1, here + R"( local_memory="68719476736"/>)");
  for (unsigned core = 4 * socket; core < 4 * socket + 4; core++) {
    const std::string one = sets(1u << core, 1u << socket);
    xml += object("Core", core, id + 10 + core, one + ">");
    xml += object("PU", core, id + 20 + core, one + "/>") + "</object>";
  }
  xml += R"(<object type="Bridge" gp_index=")" + std::to_string(id + 50) +
         R"(" bridge_type="0-1" depth="0" bridge_pci="0000:[)" + bus + "-" + bus + R"(]">)" +
         R"(<object type="PCIDev" gp_index=")" + std::to_string(id + 51) + R"(" pci_busid="0000:)" +
         bus +
         R"(:00.0" pci_type="0200 [15b3:1017] [15b3:0007] 00" pci_link_speed="15.75"/></object>)";
  return xml + "</object>";
}

inline const std::string kNicMachine =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
    R"(<topology version="2.0">)" +
    object("Machine", 0, 1,
           sets(0xff, 3) + R"( allowed_cpuset="0x000000ff" allowed_nodeset="0x00000003">)") +
    socket_xml(0, "3b") + socket_xml(1, "81") + "</object></topology>";

}  // namespace penstock
