from .files import atomic_write as atomic_write
from .files import check_disk_space as check_disk_space
from .open import open_store as open_store
from .place import Place as Place
from .place import is_remote as is_remote
from .series import MatchFile as MatchFile
from .store import Store as Store
