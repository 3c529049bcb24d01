// Any bytes are a config or a list of diagnostics; a config written in full reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "control/config/docs.h"
#include "control/config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view toml(reinterpret_cast<const char*>(data), size);
  const penstock::Loaded loaded = penstock::parse(toml, "fuzz");
  if (!loaded) {
    if (loaded.error().empty()) std::abort();
    for (const penstock::Diagnostic& d : loaded.error()) {
      if (text(d).empty()) std::abort();
    }
    return 0;
  }
  const std::string full = penstock::full(*loaded);
  const penstock::Loaded again = penstock::parse(full, "full");
  if (!again || penstock::full(*again) != full) std::abort();
  return 0;
}
