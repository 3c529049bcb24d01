// Man pages, made from what --help is made of: `penstock man NAME`.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace penstock::cli {

// penstock(1): `app` with all its commands.
std::string manual_penstock(const CLI::App& app);
// penstockd(8)
std::string manual_penstockd();
// penstock.toml(5): every option of the config.
std::string manual_config();

}  // namespace penstock::cli
