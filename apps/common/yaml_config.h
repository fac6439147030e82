// apps/common/yaml_config.h: run configurations in YAML for CLI11's --config.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ppx::app {

// A mapping of option names (without dashes) to values:
//   text-prompt: You enjoy having a good conversation.
//   temp-audio: 0.8
//   greedy: true
// A file with a mapping `options` at its top uses that mapping, so that the JSON record of a run
// can be given as it is.
class YamlConfig final : public CLI::Config {
 public:
  std::string to_config(const CLI::App* app, bool default_also, bool write_description,
                        std::string prefix) const override;
  // Throws base::Error (kUsage) with line and column for what is not such a mapping.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
};

}  // namespace ppx::app
