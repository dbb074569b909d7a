import runpy, sys, os, numpy as np, pytest
def test_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path); monkeypatch.setenv("RPUSIM_SHORT","1"); monkeypatch.setattr(sys,"argv",["x"])
    src=open("/work/main/examples/checkpoint.py").read().replace("assert not different","")
    p=tmp_path/"checkpoint.py"; p.write_text(src)
    ns=runpy.run_path(str(p), run_name="__main__")
    a,b=ns["a"],ns["b"]
    for n in ns["different"]:
        print(n, a[n].dtype, a[n].shape, (a[n]!=b[n]).sum(), np.abs(a[n].astype(float)-b[n].astype(float)).max())
    # which side does a clean process agree with?
    import subprocess
    assert 0
