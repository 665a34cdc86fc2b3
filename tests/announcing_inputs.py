"""What announces releases in the tests: the store, manifests, and versions on a served Zenodo."""

import json

LATEST = "/api/records/700/versions/latest"


class Store:
    """The asset's state as Airflow's database keeps it: JSON that outlives trigger and runs."""

    def __init__(self):
        self.texts = {}

    def get(self, key, default=None):
        return json.loads(self.texts[key]) if key in self.texts else default

    def set(self, key, value):
        self.texts[key] = json.dumps(value)

    async def aget(self, key, default=None):
        return self.get(key, default)

    async def aset(self, key, value):
        self.set(key, value)


def write_manifest(folder, name, *, concept="", settings="epochs = 3"):
    line = f'zenodo_concept = "{concept}"\n' if concept else ""
    (folder / f"{name}.toml").write_text(f'name = "{name}"\n{line}[settings]\n{settings}\n')


def publish(server, number, *manners, md5="1" * 32, version="1"):
    files = [{"key": "a.csv", "checksum": f"md5:{md5}", "links": {"self": "https://z/a.csv"}}]
    record = {"id": number, "conceptrecid": "700", "metadata": {"version": version}, "files": files}
    server.serve(LATEST, json.dumps(record).encode(), *manners)
