import Adapter
import PluginKit

PluginMain.run(MicroblogAdapter())
