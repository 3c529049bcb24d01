// `penstock bundle`: what somebody needs who shall find out what is wrong, in one archive.
#pragma once

#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct BundleOptions {
  std::string config = "/etc/penstock/penstock.toml";
  std::string socket;  // of the node
  std::string output;  // empty: penstock-bundle-HOST-TIME.tar.gz, here
  bool json = false;
};

// Writes the archive, readable for its owner only, and prints what is in it. A part that cannot be
// had, as that of a node that does not run, is named and left out. Of the config it takes the
// options, no comments, and none of the files that they name: neither passwords nor keys.
Exit bundle(const Io& io, const BundleOptions& options);

}  // namespace penstock::cli
